/**
 * Whether this machine's fonts have a shape for every letter of a text. A font that is not installed is no error to canvas:
 * a box with the letter's number stands there instead, and nobody can read it.
 */
import { createCanvas } from 'canvas'
import { FONT_FAMILIES } from './typeset.js'

const SIDE = 64
/** Under these dots two probes have no box in common: some font draws them, and boxes cannot be told from letters here. */
const BOX_DOTS_MIN = 100

/** The letters of a text that would be drawn as boxes, each once, in their order. */
export function undrawable(text: string): readonly string[] {
  const [low, high] = [boxOf(['\ue7a1', '\uf31d', '\uf8aa', '\ue456']), boxOf(['\u{10a7b1}', '\u{10f31d}', '\u{100456}', '\u{fc8ee}'])]
  return [...new Set(text)].filter((letter) => {
    const box = (letter.codePointAt(0) ?? 0) > 0xffff ? high : low // Wider with six figures than with four.
    if (box.length < BOX_DOTS_MIN) return false
    const dots = dotsOf(letter)
    return box.filter((i) => dots[i] === true).length > 0.9 * box.length
  })
}

/** Letters for private use, which no font of ours has: what their boxes share is the box without its figures. */
function boxOf(letters: readonly string[]): readonly number[] {
  const [first = [], ...others] = letters.map(dotsOf)
  return first.flatMap((dark, i) => (dark && others.every((dots) => dots[i] === true) ? [i] : []))
}

function dotsOf(letter: string): readonly boolean[] {
  const canvas = createCanvas(SIDE, SIDE)
  const context = canvas.getContext('2d', { pixelFormat: 'A8' })
  context.font = `40px ${FONT_FAMILIES}`
  context.fillText(letter, 8, 48)
  const raw = canvas.toBuffer('raw')
  return Array.from({ length: SIDE * SIDE }, (_, i) => (raw[Math.floor(i / SIDE) * canvas.stride + i % SIDE] ?? 0) >= 104)
}
