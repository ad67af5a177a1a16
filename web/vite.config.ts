// One Vite project builds every page of the demo. The pages live in ../examples, so that the path of a file there
// is its URL; what they share lives in ./src. The result goes to
// ../crates/fanfare-cli/dist: the `fanfare` binary embeds it, and a package holds only what is in its folder.
import { copyFileSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";
import { includes, inputs, sourcePages } from "./build/pages.ts";

const web = import.meta.dirname;
const examples = resolve(web, "../examples");

/** Adds the official browser client as a file, which `fanfare new` writes into new projects. */
function browserClient(): Plugin {
  const name = "socket.io.esm.min.js";
  let outDir = "";
  return {
    name: "fanfare-browser-client",
    apply: "build",
    configResolved(config) {
      outDir = resolve(config.root, config.build.outDir);
    },
    writeBundle() {
      copyFileSync(join(web, "node_modules/socket.io-client/dist", name), join(outDir, name));
    },
  };
}

/** Writes `.br` and `.gz` beside every text file, so that the server only has to choose. */
function precompress(): Plugin {
  let outDir = "";
  return {
    name: "fanfare-precompress",
    apply: "build",
    configResolved(config) {
      outDir = resolve(config.root, config.build.outDir);
    },
    closeBundle() {
      for (const name of readdirSync(outDir, { recursive: true, encoding: "utf8" })) {
        if (!/\.(html|js|css|svg)$/.test(name)) continue;
        const file = join(outDir, name);
        const plain = readFileSync(file);
        const packed = {
          br: brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: plain.length } }),
          gz: gzipSync(plain, { level: 9 }),
        };
        for (const [extension, bytes] of Object.entries(packed)) {
          if (bytes.length < plain.length) writeFileSync(`${file}.${extension}`, bytes);
        }
      }
    },
  };
}

export default defineConfig({
  root: examples,
  publicDir: resolve(web, "public"),
  cacheDir: resolve(web, "node_modules/.vite"),
  resolve: {
    alias: {
      "@web": resolve(web, "src"),
      "socket.io-client": resolve(web, "node_modules/socket.io-client"),
    },
  },
  build: {
    outDir: resolve(web, "../crates/fanfare-cli/dist"),
    emptyOutDir: true,
    target: "es2022",
    cssTarget: ["chrome123", "firefox120", "safari17.5"], // light-dark() stays as it is
    modulePreload: { polyfill: false },
    rollupOptions: {
      input: inputs(examples),
    },
  },
  server: {
    fs: { allow: [examples, web] },
    // `npm run dev` serves the pages with hot reload, in front of a running `fanfare demo`.
    proxy: {
      "/socket.io": { target: process.env["FANFARE_URL"] ?? "http://127.0.0.1:3000", ws: true },
      "/api": { target: process.env["FANFARE_URL"] ?? "http://127.0.0.1:3000" },
    },
  },
  plugins: [includes(), sourcePages(), browserClient(), precompress()],
});
