// Read arrays with zarrita: arguments are the store's path and the arrays' keys ("/" is the root).
// Written to stdout: one line of JSON, [{shape, dtype}], then the pixels of each array in C order.
import * as zarr from "zarrita";
import { FileSystemStore } from "@zarrita/storage";

const NUMPY = { bool: "?", float16: "<f2" };
const [store, ...keys] = process.argv.slice(2);
const root = zarr.root(new FileSystemStore(store));
const entries = [];
const pixels = [];
for (const key of keys) {
  const array = await zarr.open.v3(root.resolve(key), { kind: "array" });
  const region = await zarr.get(array);
  const bytes =
    array.dtype === "bool"
      ? Uint8Array.from(region.data, Number)
      : new Uint8Array(region.data.buffer, region.data.byteOffset, region.data.byteLength);
  entries.push({ shape: region.shape, dtype: NUMPY[array.dtype] ?? array.dtype });
  pixels.push(Buffer.from(bytes));
}
process.stdout.write(JSON.stringify(entries) + "\n");
process.stdout.write(Buffer.concat(pixels));
