/** Pictures for emulated glass, as a controller stores them, and how many dots of the glass are not as they were meant. */
import type { Frame } from '../../drivers/driver.js'
import type { NativePicture, NativeWindow } from '../../drivers/panel/eink-chip.js'
import { isDark } from './upright.js'

/** No symmetry and no repetition. */
export function speckled({ widthPx, heightPx }: { readonly widthPx: number; readonly heightPx: number }, seed: number): NativePicture {
  let x = Math.imul(seed, 2_654_435_761)
  const bits = Uint8Array.from({ length: widthPx / 8 * heightPx }, () => {
    x = Math.imul(x, 1_664_525) + 1_013_904_223
    return x >>> 24
  })
  return { widthPx, heightPx, bits }
}

/** The first picture with a piece of the second. */
export function patched(under: NativePicture, over: NativePicture, { x, y, widthPx, heightPx }: NativeWindow): NativePicture {
  const bits = under.bits.slice()
  const stride = under.widthPx / 8
  for (let row = y; row < y + heightPx; row++) {
    const from = row * stride + x / 8
    bits.set(over.bits.subarray(from, from + widthPx / 8), from)
  }
  return { ...under, bits }
}

/** Dark is 1 on glass, 0 in a controller's picture; columns beyond the glass do not count. */
export function wrongDots(glass: Frame, picture: NativePicture): number {
  let wrong = 0
  for (let y = 0; y < glass.heightPx; y++) {
    for (let x = 0; x < glass.widthPx; x++) {
      if (isDark(glass, x, y) === isDark(picture, x, y)) wrong++
    }
  }
  return wrong
}
