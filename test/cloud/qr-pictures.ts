/**
 * Pictures of codes for the tests, in every markup that a code may come in, and PNGs written byte by byte.
 */
import { crc32, deflateSync } from 'node:zlib'
import encodeQR from 'qr'

export const ORDER_CODE = 'https://qr.alipay.com/281002040009876543210987654321ABCDEF?x=1'

/** Dark modules, with a quiet zone of `border` modules, 0..4. */
export function modulesOf(text: string, border = 4): readonly (readonly boolean[])[] {
  const cut = <T>(row: readonly T[]): readonly T[] => row.slice(4 - border, row.length - 4 + border)
  return cut(encodeQR(text, 'raw', { ecc: 'medium', border: 4 })).map(cut)
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)

function dark<T>(modules: readonly (readonly boolean[])[], each: (x: number, y: number) => T): T[] {
  return modules.flatMap((row, y) => row.flatMap((isDark, x) => (isDark ? [each(x, y)] : [])))
}

export const rectsOf = (modules: readonly (readonly boolean[])[], attributes = 'fill="#000"'): string =>
  dark(modules, (x, y) => `<rect x="${x}" y="${y}" width="1" height="1" ${attributes}/>`).join('')

export const pathOf = (modules: readonly (readonly boolean[])[]): string =>
  dark(modules, (x, y) => `M${x} ${y}h1v1h-1z`).join('')

/** Lines through the middle of the modules, as the printers of some libraries draw them. */
export const strokesOf = (modules: readonly (readonly boolean[])[]): string =>
  dark(modules, (x, y) => `M${x},${y}.5h1`).join('')

export const svgOf = (inside: string, attributes: string): string => `<svg xmlns="http://www.w3.org/2000/svg" ${attributes}>${inside}</svg>`

export type PngColour = 'bit' | 'grey' | 'RGB' | 'RGBA on nothing' | 'palette'

const COLOUR_TYPES = {
  'bit': { type: 0, depth: 1, dark: [], light: [] },
  'grey': { type: 0, depth: 8, dark: [0], light: [255] },
  'RGB': { type: 2, depth: 8, dark: [10, 20, 30], light: [250, 250, 250] },
  // Transparent dots are black underneath, as most encoders leave them.
  'RGBA on nothing': { type: 6, depth: 8, dark: [0, 0, 0, 255], light: [0, 0, 0, 0] },
  'palette': { type: 3, depth: 8, dark: [1], light: [0] },
} as const

export function pngOf(modules: readonly (readonly boolean[])[], moduleSizePx: number, colour: PngColour): Buffer {
  const { type, depth, dark: darkDot, light } = COLOUR_TYPES[colour]
  const side = modules.length * moduleSizePx
  const rows = Array.from({ length: side }, (_, y) => {
    const row = Array.from({ length: side }, (_value, x) =>
      modules[Math.floor(y / moduleSizePx)]?.[Math.floor(x / moduleSizePx)] === true)
    if (depth === 1) return [0, ...packed(row)]
    return [0, ...row.flatMap((isDark) => (isDark ? [...darkDot] : [...light]))]
  })
  const palette = colour === 'palette' ? [chunk('PLTE', Buffer.from([255, 255, 255, 0, 0, 0]))] : []
  return pngFrom(header(side, side, depth, type), [...palette, chunk('IDAT', deflateSync(Buffer.from(rows.flat())))])
}

function packed(row: readonly boolean[]): number[] {
  const bytes = Array.from({ length: Math.ceil(row.length / 8) }, () => 0)
  row.forEach((isDark, x) => { if (!isDark) bytes[x >> 3] = (bytes[x >> 3] ?? 0) | (0x80 >> (x & 7)) })
  return bytes
}

export function header(widthPx: number, heightPx: number, depth = 8, type = 0): Buffer {
  const data = Buffer.alloc(13)
  data.writeUInt32BE(widthPx, 0)
  data.writeUInt32BE(heightPx, 4)
  data[8] = depth
  data[9] = type
  return chunk('IHDR', data)
}

export function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const ends = Buffer.alloc(8)
  ends.writeUInt32BE(data.length, 0)
  ends.writeUInt32BE(crc32(body), 4)
  return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)])
}

export const pngFrom = (head: Buffer, chunks: readonly Buffer[]): Buffer =>
  Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), head, ...chunks, chunk('IEND', Buffer.alloc(0))])
