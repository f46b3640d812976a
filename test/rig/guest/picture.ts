/** A picture with nothing on it but a code, as large as it fits. */
import encodeQR from 'qr'
import { type Frame, strideBytes } from '../../../drivers/driver.js'

const QUIET = 4

export function codePicture(text: string, { widthPx, heightPx }: { readonly widthPx: number; readonly heightPx: number }): Frame {
  const modules = encodeQR(text, 'raw', { ecc: 'medium', border: QUIET })
  const stride = strideBytes(widthPx)
  const bits = new Uint8Array(stride * heightPx)
  const scale = Math.floor(Math.min(widthPx, heightPx) / modules.length)
  for (let y = 0; y < modules.length * scale; y++) {
    for (let x = 0; x < modules.length * scale; x++) {
      if (modules[Math.floor(y / scale)]?.[Math.floor(x / scale)] !== true) continue
      const at = y * stride + (x >> 3)
      bits[at] = (bits[at] ?? 0) | (0x80 >> (x & 7))
    }
  }
  return { widthPx, heightPx, bits }
}
