/**
 * Text on a canvas: broken into lines, shrunk to fit a width, cut with an ellipsis at the very end. Knows fonts and
 * lines; knows no screens and no sales. Fonts are slow, so what was measured, set and drawn is remembered, within limits.
 */
import { type Canvas, type CanvasRenderingContext2D, createCanvas } from 'canvas'

export type Weight = 'normal' | 'bold'

export interface Line {
  readonly text: string
  readonly widthPx: number
  /** Above and below the baseline, at least those of a plain Latin line, so that lines keep their rhythm. */
  readonly ascentPx: number
  readonly descentPx: number
}

export interface SetText {
  readonly weight: Weight
  readonly px: number
  readonly lines: readonly Line[]
  /** Of the widest line. */
  readonly widthPx: number
  readonly heightPx: number
  /** Ends in an ellipsis that stands for the rest. */
  readonly isCut: boolean
}

export interface Wish {
  readonly text: string
  readonly weight: Weight
  /** The size asked for, in dots an em; made smaller, never larger. */
  readonly px: number
  readonly widthPx: number
  readonly linesMax: number
}

export interface Typesetter {
  set(wish: Wish): SetText
  /** Draws with the first line's top at `y`. */
  draw(text: SetText, x: number, y: number, widthPx: number, align: 'left' | 'centre'): void
  measure(text: string, weight: Weight, px: number): Line
}

/** Latin from DejaVu, Thai from Loma, Chinese from WenQuanYi: three Debian packages, found by fontconfig, glyph by glyph. */
export const FONT_FAMILIES = '"DejaVu Sans", "Loma", "WenQuanYi Micro Hei"'

/** Below these, strokes of one dot run into each other (looked at, not measured). */
const PX_MIN = 10
const PX_MIN_DENSE_SCRIPT = 13
const PX_MIN_THAI_BOLD = 14
const PX_MIN_CHINESE_BOLD = 17 // Made bold by smearing: the font has one weight.

const LEADING = 0.14
const FEWER_LINES = 0.85
const MEASURED_MAX = 4_000
const SET_MAX = 1_000
/** A line on the largest panel is a canvas of some 50 KB. */
const DRAWN_MAX = 64

export function createTypesetter(context: CanvasRenderingContext2D): Typesetter {
  const measured = remembering<Line>(MEASURED_MAX)
  const settings = remembering<SetText>(SET_MAX)
  const drawn = remembering<InkedLine>(DRAWN_MAX)
  const segmenter = new Intl.Segmenter(undefined, { granularity: 'word' })
  const words: Splitter = (text) => unbreakables(text, segmenter)

  function measure(text: string, weight: Weight, px: number): Line {
    return measured(`${weight} ${px} ${text}`, () => {
      context.font = font(weight, px)
      const box = context.measureText(text)
      return {
        text,
        widthPx: Math.ceil(Math.max(box.width, box.actualBoundingBoxRight)),
        ascentPx: Math.ceil(Math.max(box.actualBoundingBoxAscent, 0.74 * px)),
        descentPx: Math.ceil(Math.max(box.actualBoundingBoxDescent, 0.21 * px)),
      }
    })
  }

  function lay(wish: Wish, weight: Weight, px: number, splitters: readonly Splitter[]): readonly Line[] {
    const fits = (text: string) => measure(text, weight, px).widthPx <= wish.widthPx
    return breakLines(wish.text, splitters, fits).map((text) => measure(text, weight, px))
  }

  function largest(wish: Wish, pxMax: number, pxMin: number, linesMax: number): SetText | undefined {
    for (let px = pxMax; px >= pxMin; px--) {
      const weight = weightAt(wish, px)
      const lines = lay(wish, weight, px, [words])
      if (lines.length <= linesMax && lines.every((line) => line.widthPx <= wish.widthPx)) return finish(weight, px, lines)
    }
    return undefined
  }

  function cutOff(wish: Wish, px: number): SetText {
    const weight = weightAt(wish, px)
    const all = lay(wish, weight, px, [words, letters])
    if (all.length <= wish.linesMax) return finish(weight, px, all)
    const kept = all.slice(0, wish.linesMax)
    const last = ellipsize(kept.at(-1)?.text ?? '', (shorter) => measure(shorter, weight, px).widthPx <= wish.widthPx)
    return { ...finish(weight, px, [...kept.slice(0, -1), measure(last, weight, px)]), isCut: true }
  }

  function set(wish: Wish): SetText {
    const pxMin = Math.max(1, Math.floor(Math.min(wish.px, smallest(wish.text))))
    const first = largest(wish, Math.floor(wish.px), pxMin, wish.linesMax)
    if (first === undefined) return cutOff(wish, pxMin)
    // One word alone on the last line looks like a mistake; a little smaller often needs a line less.
    const fewer = first.lines.length === 1
      ? undefined
      : largest(wish, first.px - 1, Math.max(pxMin, Math.ceil(first.px * FEWER_LINES)), first.lines.length - 1)
    return fewer ?? first
  }

  return {
    measure,
    set(wish) {
      const { text, weight, px, widthPx, linesMax } = wish
      return settings(`${weight} ${px} ${widthPx} ${linesMax} ${text}`, () => set(wish))
    },
    draw({ weight, px, lines }, x, y, widthPx, align) {
      let top = y
      for (const line of lines) {
        const left = align === 'left' ? x : x + Math.floor((widthPx - line.widthPx) / 2)
        const { canvas, edgePx } = drawn(`${weight} ${px} ${line.text}`, () => inked(line, weight, px))
        context.drawImage(canvas, Math.round(left) - edgePx, Math.round(top) - edgePx)
        top += line.ascentPx + line.descentPx + leading(px)
      }
    },
  }
}

interface InkedLine {
  readonly canvas: Canvas
  /** Around the line: letters lean out of their own width, marks out of their height. */
  readonly edgePx: number
}

function inked({ text, widthPx, ascentPx, descentPx }: Line, weight: Weight, px: number): InkedLine {
  const edgePx = Math.ceil(px / 4) + 1
  const canvas = createCanvas(widthPx + 2 * edgePx, ascentPx + descentPx + 2 * edgePx)
  const context = canvas.getContext('2d', { pixelFormat: 'A8' })
  context.font = font(weight, px)
  context.fillText(text, edgePx, edgePx + ascentPx)
  return { canvas, edgePx }
}

/** What was made for a key, made once; past the limit all is forgotten. */
function remembering<T>(max: number): (key: string, make: () => T) => T {
  const known = new Map<string, T>()
  return (key, make) => {
    const found = known.get(key)
    if (found !== undefined) return found
    if (known.size >= max) known.clear()
    const made = make()
    known.set(key, made)
    return made
  }
}

/** How small this text may become and still be read. */
export const smallest = (text: string): number => (isDense(text) ? PX_MIN_DENSE_SCRIPT : PX_MIN)

/** Anything but Latin letters and common punctuation: more strokes in the same square. */
const isDense = (text: string): boolean => /[^\u0000-\u024f\u2000-\u206f]/.test(text)

function weightAt({ text, weight }: Wish, px: number): Weight {
  if (/\p{Script=Han}/u.test(text) && px < PX_MIN_CHINESE_BOLD) return 'normal'
  if (/\p{Script=Thai}/u.test(text) && px < PX_MIN_THAI_BOLD) return 'normal'
  return weight
}

const font = (weight: Weight, px: number): string => `${weight} ${px}px ${FONT_FAMILIES}`

const leading = (px: number): number => Math.round(px * LEADING)

function finish(weight: Weight, px: number, lines: readonly Line[]): SetText {
  const ink = lines.reduce((sum, line) => sum + line.ascentPx + line.descentPx, 0)
  const widthPx = Math.max(0, ...lines.map((line) => line.widthPx))
  return { weight, px, lines, widthPx, heightPx: ink + Math.max(0, lines.length - 1) * leading(px), isCut: false }
}

type Splitter = (text: string) => readonly string[]

/**
 * Greedy. A line ends at a space if it can; where there is none (Thai, Chinese) as the splitters say, coarsest first. What
 * no splitter makes short enough stays too wide. A no-break space holds what it joins together.
 */
function breakLines(text: string, splitters: readonly Splitter[], fits: (text: string) => boolean): string[] {
  const lines: string[] = []
  let line = ''
  const add = (piece: string, [split, ...finer]: readonly Splitter[]): void => {
    const joined = line === '' ? piece.trimStart() : line + piece
    if (fits(joined.trim())) {
      line = joined
      return
    }
    const whole = split === undefined || fits(piece.trim())
    if (line !== '' && (whole || finer.length === 0)) {
      lines.push(line.trim())
      line = ''
    }
    if (whole) line += piece.trimStart()
    else for (const part of split(piece)) add(part, finer)
  }
  for (const chunk of text.split(/(?<=[^\S\u00a0])/)) add(chunk, splitters)
  if (line.trim() !== '') lines.push(line.trim())
  return lines
}

/** Words with the punctuation that clings to them: no line begins with a comma. */
function unbreakables(text: string, segmenter: Intl.Segmenter): string[] {
  const pieces: string[] = []
  for (const { segment, isWordLike } of segmenter.segment(text)) {
    const last = pieces.at(-1)
    if (last !== undefined && (isWordLike !== true || /[-\u00a0'’+([]$/.test(last))) pieces[pieces.length - 1] = last + segment
    else pieces.push(segment)
  }
  return pieces
}

const letters = (text: string): string[] => Array.from(new Intl.Segmenter().segment(text), ({ segment }) => segment)

function ellipsize(text: string, fits: (text: string) => boolean): string {
  const kept = letters(text)
  while (kept.length > 1 && !fits(`${kept.join('').trimEnd()}…`)) kept.pop()
  return `${kept.join('').trimEnd()}…`
}
