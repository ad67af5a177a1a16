// Pictures on their way out: checked against the server's limit, and made smaller when they exceed it.
import { bytes } from "@web/dom.ts";
import type { Upload } from "../events.d.ts";

/** A picture to send, with the type by which this page displays it. */
export type OutgoingPicture = Upload & { type: string; data: Uint8Array };

export const TYPES = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/** Longest side, in pixels, that a picture is reduced to; tried in this order until the limit is kept. */
const SIDES = [1600, 1000, 640];

/** Reads `file`. Throws an `Error` with a sentence for the user. */
export async function prepare(file: File, limit: number): Promise<OutgoingPicture> {
  if (!TYPES.includes(file.type)) throw new Error(`${file.name || "This file"} is not a PNG, JPEG, GIF or WebP picture.`);
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name || "The picture"} cannot be read; it may be damaged.`);
  });
  try {
    const { width, height } = bitmap;
    const name = file.name || "picture";
    if (file.size <= limit) {
      return { name, type: file.type, width, height, data: new Uint8Array(await file.arrayBuffer()) };
    }
    for (const side of SIDES) {
      const smaller = await reduce(bitmap, side);
      if (smaller && smaller.blob.size <= limit) {
        const { blob, width, height } = smaller;
        return { name, type: blob.type, width, height, data: new Uint8Array(await blob.arrayBuffer()) };
      }
    }
    throw new Error(`${name} has ${bytes(file.size)}; the limit is ${bytes(limit)}.`);
  } finally {
    bitmap.close();
  }
}

async function reduce(bitmap: ImageBitmap, side: number) {
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  if (!context) return undefined;
  context.fillStyle = "#fff"; // JPEG has no transparency
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/jpeg", 0.82));
  return blob ? { blob, width: canvas.width, height: canvas.height } : undefined;
}

/** The first picture of a paste or a drop. */
export function pictureOf(transfer: DataTransfer | null): File | undefined {
  return [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/"));
}
