// Plugins that put into the pages what is written elsewhere in the repository: the shared header, the example server,
// a line of the benchmarks, and the source of each app.
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { extname, join, relative, resolve } from "node:path";
import type { Plugin } from "vite";
import { highlight } from "./highlight.ts";

const repository = resolve(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(repository, path), "utf8");

/** Apps, in the order of the navigation: the name of the page and where its server is. */
const APPS = [
  { name: "game", title: "Game" },
  { name: "playground", title: "Playground" },
  { name: "chat", title: "Chat" },
  { name: "notifications", title: "Notifications" },
  { name: "cluster", title: "Cluster" },
].filter(({ name }) => existsSync(join(repository, "examples", name, "index.html")));

/** Files of the start page, whose source is shown as that of an app. */
const HOME = ["examples/index.html", "examples/index.ts", "examples/index.css", "crates/fanfare-cli/src/demo/mod.rs", "crates/fanfare-cli/src/demo/http.rs"];

/** Returns the pages that the build makes: every folder with an `index.html`. */
export function inputs(examples: string): Record<string, string> {
  const pages = readdirSync(examples).filter((name) => existsSync(join(examples, name, "index.html")));
  return Object.fromEntries([
    ["index", join(examples, "index.html")],
    ["missing", join(examples, "404.html")],
    ...pages.map((name) => [name, join(examples, name, "index.html")]),
  ]);
}

/** The code of an example, without the comment at its beginning. */
function example(path: string): string {
  const code = read(path).replace(/^(\/\/!.*\n)+\n?/, "").trimEnd();
  return highlight(code, extname(path).slice(1));
}

/** The row of a scenario in the table of operations per CPU second. */
export function benchmark(scenario: string, page = read("docs/benchmarks.md")): { fanfare: string; peer: string; node: string } {
  const section = page.split("## Operations per CPU second")[1] ?? "";
  const header = section.match(/^\|  \|(.*)\|$/m)?.[1]?.split("|").map((cell) => cell.trim());
  const row = section.match(new RegExp(`^\\| \`${scenario}\` \\|(.*)\\|$`, "m"))?.[1]?.split("|").map((cell) => cell.trim());
  const cell = (name: string) => row?.[header?.indexOf(name) ?? -1];
  const [fanfare, node, peer] = [cell("fanfare"), cell("node"), cell("Fanfare ×")];
  if (!fanfare || !node || !peer) throw new Error(`docs/benchmarks.md has no row ${scenario} with the columns fanfare, node, Fanfare ×`);
  return { fanfare, peer, node: (number(fanfare) / number(node)).toFixed(0) };
}

/** Reads figures such as `1.23 M`, `564 k` and `4,516`. */
function number(text: string): number {
  const factor = text.endsWith("M") ? 1e6 : text.endsWith("k") ? 1e3 : 1;
  return Number.parseFloat(text.replaceAll(",", "")) * factor;
}

function benchmarkLine(scenario: string): string {
  const { fanfare, peer, node } = benchmark(scenario);
  return `<strong>${fanfare}</strong> deliveries per second of CPU, with 1,000 clients and 16 broadcasts in flight: <strong>${peer} ×</strong> the next best server, <strong>${node} ×</strong> Node.js`;
}

/** Replaces the comments in a page that stand for shared markup and for parts of other files. */
export function includes(): Plugin {
  return {
    name: "fanfare-includes",
    transformIndexHtml: {
      order: "pre",
      handler(html) {
        const part = (name: string) => read(`web/src/${name}`).trim();
        return html
          .replace("<!-- head -->", () => part("head.html"))
          .replace(/<!-- header: (\w+) -->/, (_, page: string) => header(part("header.html"), page))
          .replace(/<!-- example: (\S+) -->/g, (_, path: string) => example(path))
          .replace(/<!-- benchmark: (\S+) -->/g, (_, scenario: string) => benchmarkLine(scenario))
          .replace(/<!-- if app: (\w+) -->([\s\S]*?)<!-- end -->/g, (_, app: string, markup: string) =>
            APPS.some(({ name }) => name === app) ? markup : "",
          );
      },
    },
  };
}

/** The header of a page: links to the apps that exist, and to the source of this one. */
function header(markup: string, page: string): string {
  const links = APPS.map(({ name, title }) => {
    const badge = name === "notifications" ? ' <span class="badge" id="badge" hidden></span>' : "";
    return `<a href="/${name}/" data-page="${name}">${title}${badge}</a>`;
  });
  const source = page === "home" || APPS.some(({ name }) => name === page) ? page : undefined;
  return markup
    .replace("<!-- apps -->", () => links.join("\n    "))
    .replace(/<!-- source -->([\s\S]*?)<!-- end -->/, (_, link: string) => (source ? link.replace("SOURCE", source) : ""))
    .replace(`data-page="${page}"`, `data-page="${page}" aria-current="page"`);
}

/** Returns the files below a folder, sorted, or the file itself. */
function files(path: string): string[] {
  const full = join(repository, path);
  if (!existsSync(full)) return [];
  if (statSync(full).isFile()) return [path];
  return readdirSync(full).sort().flatMap((name) => files(`${path}/${name}`));
}

/** Files of an app: what the browser runs, then what the server runs. */
function sources(name: string): string[] {
  if (name === "home") return HOME;
  if (name === "benchmarks") return ["docs/benchmarks.md"];
  const server = `crates/fanfare-cli/src/demo/${name}`;
  return [...files(`examples/${name}`), ...files(`${server}.rs`), ...files(server)].filter((file) => /\.(html|css|ts|rs)$/.test(file));
}

/** Writes `source/<app>/index.html` for every app, from the built page `source/index.html`. */
export function sourcePages(): Plugin {
  let outDir = "";
  return {
    name: "fanfare-source-pages",
    apply: "build",
    configResolved(config) {
      outDir = resolve(config.root, config.build.outDir);
    },
    writeBundle() {
      const template = readFileSync(join(outDir, "source/index.html"), "utf8");
      const page = (title: string, text: string, body: string) =>
        template
          .replace(/<title>.*<\/title>/, () => `<title>${title} · Fanfare</title>`)
          .replace("<!-- source title -->", () => title)
          .replace("<!-- source text -->", () => text)
          .replace("<!-- source body -->", () => body);
      const all = [{ name: "home", title: "Start page" }, ...APPS];
      for (const { name, title } of [...all, { name: "benchmarks", title: "Benchmarks" }]) {
        const list = sources(name);
        const app = name === "home" ? "/" : `/${name}/`;
        const body = list.map((file, index) => section(file, index)).join("\n");
        const folder = join(outDir, "source", name);
        mkdirSync(folder, { recursive: true });
        const text =
          name === "benchmarks"
            ? "Results beside other servers, as <code>cargo xtask bench</code> has written them."
            : `The files that make <a href="${app}">${app}</a>: what the browser runs, then what the server runs.`;
        writeFileSync(join(folder, "index.html"), page(name === "benchmarks" ? title : `Source: ${title}`, text, `${contents(list)}\n${body}`));
      }
      const list = all.map(({ name, title }) => `<li><a href="/source/${name}/">${title}</a></li>`).join("");
      writeFileSync(join(outDir, "source/index.html"), page("Source", "Each app of the demo, in full.", `<ul class="source-files">${list}</ul>`));
    },
  };
}

function contents(list: string[]): string {
  const items = list.map((file, index) => `<li><a href="#f${index}">${file}</a> <span>${lines(file)} lines</span></li>`);
  return `<nav class="card" aria-label="Files"><ol class="source-files">${items.join("")}</ol></nav>`;
}

const lines = (file: string) => read(file).trimEnd().split("\n").length;

function section(file: string, index: number): string {
  const code = highlight(read(file).trimEnd(), extname(file).slice(1));
  const name = relative(".", file);
  return `<section id="f${index}" aria-labelledby="t${index}"><h2 id="t${index}">${name}</h2><pre class="code card" tabindex="0" aria-label="${name}"><code>${code}</code></pre></section>`;
}
