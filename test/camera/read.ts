/**
 * Two decoders by different authors, as two wallets would be: zxing, which the product also reads back with, and zbar of
 * Debian, which it does not know. Each gives the texts it found; neither is told what to expect.
 */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readBarcodes } from 'zxing-wasm/reader'
import { loadReader } from '../../device/qr.js'
import { type Frame, strideBytes } from '../../drivers/driver.js'
import type { Picture } from './camera.js'

/** The texts in each picture, in order. */
export type Read = (pictures: readonly Picture[]) => Promise<readonly (readonly string[])[]>

export const DECODERS: Readonly<Record<'zxing' | 'zbar', Read>> = { zxing: readByZxing, zbar: readByZbar }

/** As wallets do: any way up, but dark on light only, which many of them ask for. */
async function readByZxing(pictures: readonly Picture[]): Promise<readonly (readonly string[])[]> {
  await loadReader()
  const texts: string[][] = []
  for (const picture of pictures) {
    const found = await readBarcodes(coloured(picture), { formats: ['QRCode'], tryHarder: true, tryInvert: false, textMode: 'Plain' })
    texts.push(found.filter((code) => code.isValid).map((code) => code.text))
  }
  return texts
}

/** All of them in one process. It ends with 4 when there was no code in any. */
async function readByZbar(pictures: readonly Picture[]): Promise<readonly (readonly string[])[]> {
  if (pictures.length === 0) return []
  const folder = mkdtempSync(join(tmpdir(), 'camera-'))
  try {
    const files = pictures.map((picture, number) => {
      const file = join(folder, `${number}.pgm`)
      writeFileSync(file, Buffer.concat([Buffer.from(`P5\n${picture.widthPx} ${picture.heightPx}\n255\n`), picture.shades]))
      return file
    })
    const ran = spawnSync('zbarimg', ['--xml', '-q', '-Sdisable', '-Sqrcode.enable', ...files],
      { encoding: 'latin1', timeout: 60_000, maxBuffer: 64 * 1024 * 1024 })
    if (ran.error !== undefined) throw ran.error
    if (ran.status !== 0 && ran.status !== 4) throw new Error(`zbarimg ended with ${ran.status}: ${ran.stderr}`)
    return files.map((file) => textsOf(ran.stdout, file))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function textsOf(xml: string, file: string): readonly string[] {
  const start = xml.indexOf(`<source href='${file}'>`)
  if (start < 0) return []
  const source = xml.slice(start, xml.indexOf('</source>', start))
  return [...source.matchAll(/<data[^>]*><!\[CDATA\[(.*?)\]\]><\/data>/gs)].map(([, text = '']) => text)
}

/** A frame as it is, without any camera; two camera pixels a dot, since zbar wants more than two for a module. */
export function picture({ widthPx, heightPx, bits }: Frame, scale = 2): Picture {
  const shades = new Uint8Array(widthPx * heightPx * scale * scale)
  const stride = strideBytes(widthPx)
  for (let y = 0; y < heightPx * scale; y++) {
    for (let x = 0; x < widthPx * scale; x++) {
      const column = Math.floor(x / scale)
      const dark = ((bits[Math.floor(y / scale) * stride + (column >> 3)] ?? 0) << (column & 7)) & 0x80
      shades[y * widthPx * scale + x] = dark === 0 ? 255 : 0
    }
  }
  return { widthPx: widthPx * scale, heightPx: heightPx * scale, shades }
}

function coloured({ widthPx, heightPx, shades }: Picture): { data: Uint8ClampedArray; width: number; height: number; colorSpace: 'srgb' } {
  const data = new Uint8ClampedArray(4 * shades.length)
  shades.forEach((shade, at) => { data.fill(shade, 4 * at, 4 * at + 3); data[4 * at + 3] = 255 })
  return { data, width: widthPx, height: heightPx, colorSpace: 'srgb' }
}
