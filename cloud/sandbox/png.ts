/**
 * Writes a black-and-white picture as PNG: one bit a pixel, one IDAT (PNG specification, third edition). Pure.
 */
import { crc32, deflateSync } from 'node:zlib'

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])

/** Rows from the top, true is dark. With `transparent` the light pixels let the page through. */
export function blackAndWhitePng(rows: readonly (readonly boolean[])[], transparent: boolean): Buffer {
  const widthPx = rows[0]?.length ?? 0
  const stride = 1 + Math.ceil(widthPx / 8)
  const scanlines = Buffer.alloc(stride * rows.length)
  rows.forEach((row, y) => {
    // Each line begins with its filter, 0: none. In greyscale 1 is white, so light pixels set their bit.
    row.forEach((dark, x) => {
      const at = y * stride + 1 + (x >> 3)
      if (!dark) scanlines[at] = (scanlines[at] ?? 0) | (0x80 >> (x & 7))
    })
  })
  const header = Buffer.alloc(13)
  header.writeUInt32BE(widthPx, 0)
  header.writeUInt32BE(rows.length, 4)
  header[8] = 1 // bit depth; colour type, compression, filter and interlace stay 0
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    ...(transparent ? [chunk('tRNS', Buffer.from([0, 1]))] : []),
    chunk('IDAT', deflateSync(scanlines)),
    chunk('IEND', Buffer.alloc(0)),
  ])
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const whole = Buffer.alloc(body.length + 8)
  whole.writeUInt32BE(data.length, 0)
  body.copy(whole, 4)
  whole.writeUInt32BE(crc32(body), body.length + 4)
  return whole
}
