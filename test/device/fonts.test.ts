/** Every letter that a panel may show has a shape of its own: no box stands in for one that no font has. */
import { createCanvas } from 'canvas'
import { describe, expect, test } from 'vitest'
import { PAYMENT_METHODS } from '../../device/protocol/payment-method.js'
import { FONT_FAMILIES } from '../../device/typeset.js'
import { LANGUAGES, type Words, WORDS } from '../../device/words.js'
import { SITES } from '../../scripts/every-screen.js'

const SIDE = 64
const canvas = createCanvas(SIDE, SIDE)
const context = canvas.getContext('2d', { pixelFormat: 'A8' })

function dotsOf(letter: string): readonly boolean[] {
  context.clearRect(0, 0, SIDE, SIDE)
  context.font = `40px ${FONT_FAMILIES}`
  context.fillText(letter, 8, 48)
  const raw = canvas.toBuffer('raw')
  return Array.from({ length: SIDE * SIDE }, (_, i) => (raw[Math.floor(i / SIDE) * canvas.stride + i % SIDE] ?? 0) >= 104)
}

/** A letter that no font has is drawn as a box round its number. What two such boxes share is the box. */
const [one, another] = ['\ue7a1', '\uf31d'].map(dotsOf)
const box = (one ?? []).flatMap((dark, i) => (dark && another?.[i] === true ? [i] : []))

const isBox = (letter: string): boolean => {
  const dots = dotsOf(letter)
  return box.filter((i) => dots[i] === true).length > 0.9 * box.length
}

/** Every text of a language, with whatever it is filled with. */
function textsOf(words: Words): string {
  const all: string[] = []
  const visit = (value: unknown): void => {
    if (typeof value === 'string') all.push(value)
    else if (typeof value === 'object' && value !== null) Object.values(value).forEach(visit)
  }
  visit([words, words.amountTooSmall('THB 1'), words.amountTooLarge('THB 1'), words.timeLeft(15), words.timeLeft(105), words.timeLeft(3_700), words.updating(1), words.updating(2)])
  return all.join('')
}

describe('every letter can be drawn', () => {
  test('and one that cannot is noticed', () => {
    expect(box.length).toBeGreaterThan(100)
    for (const letter of ['\ue000', '\uf8aa', '\ue123']) expect(isBox(letter), letter).toBe(true)
    for (const letter of ['A', '0', '口', '国', 'บ', '□']) expect(isBox(letter), letter).toBe(false)
  })

  test.each(LANGUAGES)('in %s', (language) => {
    const letters = new Set(textsOf(WORDS[language]) + SITES[language].shopName)
    expect([...letters].filter(isBox)).toEqual([])
  })

  test('in amounts, references and the names of wallets', () => {
    const letters = new Set(`0123456789.,…${'ABCDEFGHIJKLMNOPQRSTUVWXYZ'}${JSON.stringify(PAYMENT_METHODS)}`)
    expect([...letters].filter(isBox)).toEqual([])
  })
})

test('Thai and Chinese are drawn by the fonts that were chosen, not by whatever else is installed', () => {
  const widthIn = (families: string, text: string): number => {
    context.font = `40px ${families}`
    return context.measureText(text).width
  }
  expect(widthIn(FONT_FAMILIES, 'ชำระเงินที่')).toBe(widthIn('"Loma"', 'ชำระเงินที่'))
  expect(widthIn(FONT_FAMILIES, '请勿重复支付')).toBe(widthIn('"WenQuanYi Micro Hei"', '请勿重复支付'))
  expect(widthIn(FONT_FAMILIES, 'Scan to pay 12.80')).toBe(widthIn('"DejaVu Sans"', 'Scan to pay 12.80'))
})
