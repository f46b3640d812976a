/**
 * How far away each panel's texts can be read, by device/legibility.ts, from the letters as this machine's fonts draw them;
 * and how far away its code is scanned.
 */
import { createCanvas } from 'canvas'
import { readableMm } from '../device/legibility.js'
import type { Part } from '../device/layout.js'
import { FONT_FAMILIES } from '../device/typeset.js'
import type { PanelSize } from '../drivers/driver.js'
import type { Pictures } from './golden.js'

export interface Distances {
  /** The amount, the headline under the shop's name, and the smallest text of a screen. */
  readonly amountMm: number
  readonly headlineMm: number
  readonly smallestMm: number
  /** As the planner says; undefined on a screen without a code. */
  readonly scanMm: number | undefined
}

const context = createCanvas(8, 8).getContext('2d')

/** The letter that stands for its script: a capital without curves, a consonant without marks, a plain square. */
const letterOf = (text: string): string => (/\p{Script=Han}/u.test(text) ? '国' : /\p{Script=Thai}/u.test(text) ? 'บ' : 'H')

/** Of a letter of the text's script, in dots, as drawn. */
export function letterPx({ text, weight, px }: Extract<Part, { text: string }>): number {
  context.font = `${weight} ${px}px ${FONT_FAMILIES}`
  const { actualBoundingBoxAscent, actualBoundingBoxDescent } = context.measureText(letterOf(text))
  return actualBoundingBoxAscent + actualBoundingBoxDescent
}

const isText = (part: Part): part is Extract<Part, { text: string }> => 'text' in part

/** Of one screen; the headline is the largest of the texts that are no amount. */
export function distances(parts: readonly Part[], { pitchMm }: PanelSize): Distances {
  const of = (texts: readonly Extract<Part, { text: string }>[], pick: (...mm: number[]) => number) =>
    pick(...texts.map((part) => Math.floor(readableMm(letterPx(part), pitchMm))))
  const texts = parts.filter(isText)
  const words = texts.filter(({ what }) => what === 'text')
  const code = parts.find((part) => part.what === 'code')
  return {
    amountMm: of(texts.filter(({ what }) => what === 'amount'), Math.max),
    headlineMm: of(words, Math.max), smallestMm: of(words, Math.min),
    scanMm: code === undefined ? undefined : Math.round(code.plan.scan.comfortableMm),
  }
}

export function distancesOf(panel: string, size: PanelSize, pictures: Pictures): readonly string[] {
  return [...pictures].flatMap(([language, screens]) => ['scan-to-pay', 'paid', 'not-paid-insufficient'].flatMap((screen) => {
    const picture = screens.get(screen)
    if (picture === undefined) return []
    const { amountMm, headlineMm, smallestMm, scanMm } = distances(picture.parts, size)
    return [`${panel} ${language} ${screen}: amount ${amountMm} mm, headline ${headlineMm} mm, smallest ${smallestMm} mm, scanned at ${scanMm ?? '-'} mm`]
  }))
}
