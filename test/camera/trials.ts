/**
 * Every panel of the tables, and how often a telephone reads the code that the product draws on it. Used by the test, with
 * few pictures, and by report.ts, with many.
 */
import { createRenderer, type Renderer } from '../../device/render.js'
import type { View } from '../../device/view.js'
import type { Frame, PanelSize } from '../../drivers/driver.js'
import { GLASS, type NamedPanel, standing } from '../../scripts/every-screen.js'
import { createChance } from '../power/chance.js'
import { handheld, photograph, type Picture } from './camera.js'
import { DECODERS } from './read.js'

/** Lying and standing. */
export const PANELS: readonly NamedPanel[] = GLASS.flatMap(({ name, size }) => [
  { name, size }, ...(size.widthPx === size.heightPx ? [] : [{ name: `${name}, standing`, size: standing(size) }]),
])

export const rendererOf = (size: PanelSize, mark?: Frame): Renderer =>
  createRenderer({ size, mark, shopName: 'Baan Kafae', language: 'th', country: 'TH', currency: 'THB', method: 'alipayplus_mpm' })

/** Stands for the brand's file, which is not ours: a plain plus sign. */
export const PLUS: Frame = (() => {
  const side = 32
  const bits = new Uint8Array(side * side / 8)
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const at = y * side / 8 + (x >> 3)
      if (Math.abs(x - 15.5) < 5 || Math.abs(y - 15.5) < 5) bits[at] = (bits[at] ?? 0) | (0x80 >> (x & 7))
    }
  }
  return { widthPx: side, heightPx: side, bits }
})()

export const scanToPay = (payload: string): View => ({
  screen: 'scan to pay', lamps: 'waiting', payload, method: 'alipayplus_mpm', secondsLeft: 120,
  amount: { minor: 2_500, currency: 'THB' }, reference: 'K7M4QP',
})

/** An order code of so many characters; another number, another code. */
export function orderCode(chars: number, number = 0): string {
  const chance = createChance(1000 * chars + number)
  const letters = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ0123456789'
  let text = 'https://qr.alipayplus.com/'
  while (text.length < chars) text += letters[chance.between(0, letters.length - 1)] ?? ''
  return text
}

export interface Scores {
  readonly pictures: number
  readonly zxing: number
  readonly zbar: number
  /** At least one of them. */
  readonly either: number
  /** Texts that are not the code's: there must be none, ever. */
  readonly wrong: number
}

/** Photographs from one seed, each by a hand of its own. `earlier` is what the panel showed before. */
export function photographs(
  { frame, pitchMm, distanceMm, count, seed, earlier }:
  { frame: Frame; pitchMm: number; distanceMm: number; count: number; seed: number; earlier?: Frame },
): readonly Picture[] {
  const chance = createChance(seed)
  return Array.from({ length: count }, () => photograph(frame, pitchMm, handheld(distanceMm, chance.next, earlier), chance.next))
}

export async function score(pictures: readonly Picture[], payload: string): Promise<Scores> {
  const [zxing, zbar] = [await DECODERS.zxing(pictures), await DECODERS.zbar(pictures)]
  const right = (texts: readonly string[] | undefined): boolean => texts?.includes(payload) === true
  const count = (of: (index: number) => boolean): number => pictures.filter((_, index) => of(index)).length
  return {
    pictures: pictures.length,
    zxing: count((index) => right(zxing[index])),
    zbar: count((index) => right(zbar[index])),
    either: count((index) => right(zxing[index]) || right(zbar[index])),
    wrong: [...zxing, ...zbar].flat().filter((text) => text !== payload).length,
  }
}
