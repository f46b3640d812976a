/**
 * What the bench serves as files: a fixed list, read once at the start. No path of a request ever reaches the disk.
 * The decoder of the npm package `qr` is served as it is installed, so that the phone on the page really reads.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'

export interface Asset {
  readonly path: string
  readonly type: string
  readonly body: Buffer
}

const HTML = 'text/html; charset=utf-8'
const CSS = 'text/css; charset=utf-8'
const JS = 'text/javascript; charset=utf-8'

export async function readAssets(): Promise<readonly Asset[]> {
  const page = join(import.meta.dirname, 'page')   // The build copies it beside the compiled module.
  const require = createRequire(import.meta.url)
  const files = [
    { path: '/', type: HTML, file: join(page, 'index.html') },
    { path: '/bench.css', type: CSS, file: join(page, 'bench.css') },
    { path: '/bench.js', type: JS, file: join(page, 'bench.js') },
    { path: '/vendor/qr/decode.js', type: JS, file: require.resolve('qr/decode.js') },
    { path: '/vendor/qr/index.js', type: JS, file: require.resolve('qr') },
  ]
  return Promise.all(files.map(async ({ path, type, file }) => ({ path, type, body: await readFile(file) })))
}

/** Nothing inline, nothing foreign. `host` is one the server has agreed to be called. */
export const contentSecurityPolicy = (host: string): string => [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  `connect-src 'self' ws://${host}`,   // Safari's 'self' does not cover WebSockets.
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')
