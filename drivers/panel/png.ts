/**
 * A panel that is a folder: each picture drawn becomes 0001.png, 0002.png ... and `latest.png`. For laptops, demos and
 * tests, and the driver to copy from: it keeps every promise of Panel in few lines. The suite that says whether a driver
 * keeps them is test/conformance/panel.ts.
 */
import { mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as after } from 'node:timers/promises'
import { crc32, deflateSync } from 'node:zlib'
import { DriverError, type Frame, type Panel, type PanelSize, refuseWrongSize, strideBytes } from '../driver.js'
import { createLatest } from './latest.js'

export interface PngPanelOptions {
  /** Made if it is not there. Pictures of an earlier run stay and are counted on from. */
  readonly directory: string
  readonly size: PanelSize
}

/** Older pictures are deleted, so that a terminal left running does not fill its disk. */
export const PICTURES_MAX = 200

const DRAW_MS = 5_000

export async function openPngPanel({ directory, size }: PngPanelOptions): Promise<Panel> {
  let lastNumber = 0
  try {
    await mkdir(directory, { recursive: true })
    lastNumber = await lastPicture(directory)
  } catch (error) {
    throw new DriverError('PANEL_WRITE_FAILED', `cannot use ${directory} as a panel (${codeOf(error)})`, error)
  }
  let closed = false
  const latest = createLatest(write)

  async function write(frame: Frame): Promise<void> {
    const png = encodePng(frame)
    const number = lastNumber + 1
    await replace(directory, picture(number), png)
    await replace(directory, 'latest.png', png)
    lastNumber = number
    if (number > PICTURES_MAX) await rm(join(directory, picture(number - PICTURES_MAX)), { force: true })
  }

  return {
    size,
    async draw(frame) {
      if (closed) throw new DriverError('PANEL_WRITE_FAILED', `panel in ${directory} is closed`)
      refuseWrongSize(frame, size)
      await within(DRAW_MS, latest.draw(frame, 'clean'), directory)
    },
    async close() {
      closed = true
      await latest.idle()
    },
  }
}

/** A PNG of one bit a dot: small, and every viewer shows exactly the panel's dots (PNG specification, section 5). */
export function encodePng({ widthPx, heightPx, bits }: Frame): Buffer {
  const stride = strideBytes(widthPx)
  const header = Buffer.alloc(13)
  header.writeUInt32BE(widthPx, 0)
  header.writeUInt32BE(heightPx, 4)
  header.writeUInt8(1, 8) // Bit depth; the bytes that stay 0 say greyscale, deflate, no filter choice, not interlaced.

  const rows = Buffer.alloc((stride + 1) * heightPx) // Each row begins with its filter: 0, none.
  for (let y = 0; y < heightPx; y++) {
    for (let i = 0; i < stride; i++) rows[y * (stride + 1) + 1 + i] = ~(bits[y * stride + i] ?? 0) & 0xff // In a PNG 1 is white.
  }
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))])
}

/** length | type | data | CRC-32 of type and data */
function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const framed = Buffer.alloc(body.length + 8)
  framed.writeUInt32BE(data.length, 0)
  body.copy(framed, 4)
  framed.writeUInt32BE(crc32(body), body.length + 4)
  return framed
}

/** Whoever looks sees the old file or the new one, never half of one. */
async function replace(directory: string, name: string, content: Buffer): Promise<void> {
  const temporary = join(directory, `.${name}.${process.pid}`)
  try {
    await writeFile(temporary, content)
    await rename(temporary, join(directory, name))
  } catch (error) {
    throw new DriverError('PANEL_WRITE_FAILED', `cannot write ${join(directory, name)} (${codeOf(error)})`, error)
  }
}

async function within(ms: number, drawn: Promise<void>, directory: string): Promise<void> {
  const done = new AbortController()
  const tooLong = after(ms, undefined, { signal: done.signal }).then(
    () => { throw new DriverError('PANEL_TIMEOUT', `panel in ${directory} did not draw in ${ms} ms`) },
    () => undefined,
  )
  try {
    await Promise.race([drawn, tooLong])
  } finally {
    done.abort()
  }
}

const codeOf = (error: unknown): string => (error instanceof Error && 'code' in error ? String(error.code) : String(error))

const picture = (number: number): string => `${String(number).padStart(4, '0')}.png`

async function lastPicture(directory: string): Promise<number> {
  const numbers = (await readdir(directory)).map((name) => Number(/^([0-9]{4,9})\.png$/.exec(name)?.[1] ?? 0))
  return numbers.reduce((highest, number) => Math.max(highest, number), 0)
}
