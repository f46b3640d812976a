/** Glass as a person looks at it: without the columns that have no glass, and turned back as the panel is mounted. */
import { type Frame, strideBytes } from '../../drivers/driver.js'
import type { Rotation } from '../../drivers/panel/eink-chip.js'

/** The inverse of how a panel is mounted; written apart from the driver's own turning. */
export function upright(glass: Frame, visibleWidthPx: number, rotation: Rotation): Frame {
  const [lastX, lastY] = [visibleWidthPx - 1, glass.heightPx - 1]
  const across = rotation % 180 === 0
  const picture = blank(across ? visibleWidthPx : glass.heightPx, across ? glass.heightPx : visibleWidthPx)
  for (let y = 0; y <= lastY; y++) {
    for (let x = 0; x <= lastX; x++) {
      if (!isDark(glass, x, y)) continue
      switch (rotation) {
        case 0: darken(picture, x, y); break
        case 90: darken(picture, y, lastX - x); break
        case 180: darken(picture, lastX - x, lastY - y); break
        case 270: darken(picture, lastY - y, x); break
      }
    }
  }
  return picture
}

/** A picture of the dots that are dark. */
export function drawn(widthPx: number, heightPx: number, dark: (x: number, y: number) => boolean): Frame {
  const picture = blank(widthPx, heightPx)
  for (let y = 0; y < heightPx; y++) {
    for (let x = 0; x < widthPx; x++) if (dark(x, y)) darken(picture, x, y)
  }
  return picture
}

const blank = (widthPx: number, heightPx: number): Frame =>
  ({ widthPx, heightPx, bits: new Uint8Array(strideBytes(widthPx) * heightPx) })

export const isDark = ({ widthPx, bits }: Frame, x: number, y: number): boolean =>
  ((bits[y * strideBytes(widthPx) + (x >> 3)] ?? 0) & (0x80 >> (x & 7))) !== 0

function darken({ widthPx, bits }: Frame, x: number, y: number): void {
  const index = y * strideBytes(widthPx) + (x >> 3)
  bits[index] = (bits[index] ?? 0) | (0x80 >> (x & 7))
}
