/**
 * A column of blocks in a box: as large as asked if it fits, else everything smaller together, else without the blocks
 * that may go. Never draws outside its box. Knows canvas and text; knows no screens.
 */
import type { CanvasRenderingContext2D } from 'canvas'
import { type Amount, formatAmount } from './protocol/money.js'
import type { CodePlan } from './qr.js'
import { smallest, type SetText, type Typesetter, type Weight } from './typeset.js'

export interface Box {
  readonly x: number
  readonly y: number
  readonly widthPx: number
  readonly heightPx: number
}

/** Sizes are in em: multiples of the column's `emPx`. */
export interface TextBlock {
  readonly kind: 'text'
  readonly text: string
  readonly weight: Weight
  readonly em: number
  readonly linesMax: number
  /** At most this share of the size of an amount in the column: half, unless this says otherwise. */
  readonly underAmount?: number
  /** At most this share of the size of the headline above it, which may have become smaller than it was asked to be. */
  readonly underHeadline?: number
  /** May be left out where there is no room, the highest number first. */
  readonly drop?: number
  /** May end in an ellipsis where it is too long. Any other text means something only when it is whole. */
  readonly mayBeCut?: boolean
  /** The widest of the texts that will stand here in turn: there is room for each, and nothing else moves when they change. */
  readonly inTurn?: readonly string[]
}

export type Block =
  | TextBlock
  | { readonly kind: 'amount'; readonly amount: Amount; readonly em: number }
  | { readonly kind: 'bar'; readonly filled: number; readonly of: number; readonly drop?: number }
  | { readonly kind: 'rule'; readonly drop?: number }
  /** Takes its share of the room that is left over. */
  | { readonly kind: 'space' }

export interface Column {
  readonly box: Box
  readonly emPx: number
  readonly align: 'left' | 'centre'
  readonly blocks: readonly Block[]
}

export interface Pen {
  readonly context: CanvasRenderingContext2D
  readonly typesetter: Typesetter
}

/** One thing that was drawn, and the box that its ink keeps to: for whoever checks that a picture can be read. */
export type Part =
  | { readonly what: 'text' | 'amount' | 'currency'; readonly box: Box; readonly text: string; readonly weight: Weight; readonly px: number; readonly isCut: boolean }
  | { readonly what: 'bar' | 'rule' | 'figure' | 'frame'; readonly box: Box }
  | { readonly what: 'code'; readonly box: Box; readonly plan: CodePlan }

const SCALE_STEP = 0.95
/** Rather than make everything smaller than this, something goes. */
const SCALE_COMFORT = 0.6
const SCALE_MIN = 0.3
/** Headlines and amounts. */
const LARGE_EM = 1.3
const GAP_EM = 0.24
const SPACE_EM = 0.45

/** Says what it drew. A part that ends below the box was cut off: even the smallest was too much. */
export function drawColumn(pen: Pen, column: Column): readonly Part[] {
  const { context } = pen
  const { box } = column
  const { placed } = fit(pen, column)
  const spaces = placed.filter((block) => block.space).length
  const left = Math.max(0, box.heightPx - 1 - heightOf(placed))
  const share = spaces === 0 ? 0 : Math.floor(left / spaces)

  context.save()
  context.beginPath()
  context.rect(box.x, box.y, box.widthPx, box.heightPx)
  context.clip()
  let y = box.y + (spaces === 0 ? Math.floor(left / 2) : 0)
  const parts = placed.flatMap((block) => {
    const top = y
    y += block.heightPx + block.gapPx + (block.space ? share : 0)
    return block.draw(top)
  })
  context.restore()
  return parts
}

/** The blocks that find room in the column. */
export const keptIn = (pen: Pen, column: Column): readonly Block[] => fit(pen, column).blocks

interface Placed {
  readonly heightPx: number
  /** To the next block. */
  readonly gapPx: number
  readonly space: boolean
  /** Nothing is missing that gives it its meaning. */
  readonly isWhole: boolean
  readonly draw: Draw
}

type Draw = (y: number) => readonly Part[]

const heightOf = (placed: readonly Placed[]): number =>
  placed.reduce((sum, block, i) => sum + block.heightPx + (i === placed.length - 1 ? 0 : block.gapPx), 0)

interface Fitted {
  readonly blocks: readonly Block[]
  readonly placed: readonly Placed[]
}

function fit(pen: Pen, column: Column): Fitted {
  let blocks = column.blocks
  for (;;) {
    const next = withoutOne(blocks)
    const scaleMin = next === undefined ? SCALE_MIN : SCALE_COMFORT
    for (let scale = 1; scale >= scaleMin; scale *= SCALE_STEP) {
      if (fits(place(pen, { ...column, blocks }, scale), column.box)) return { blocks, placed: withLargeText(pen, { ...column, blocks }, scale) }
    }
    if (next === undefined) return { blocks, placed: place(pen, { ...column, blocks }, SCALE_MIN) }
    blocks = next
  }
}

/** A row stays free: ink in it means something was cut. */
const fits = (placed: readonly Placed[], { heightPx }: Box): boolean =>
  heightOf(placed) < heightPx && placed.every((block) => block.isWhole)

/** Room that everything smaller together has left over goes to what is read first, up to the size asked for. */
function withLargeText(pen: Pen, column: Column, scale: number): readonly Placed[] {
  for (let boost = 1 / scale; boost > 1; boost *= SCALE_STEP) {
    const blocks = column.blocks.map((block) => ('em' in block && block.em >= LARGE_EM ? { ...block, em: block.em * boost } : block))
    const placed = place(pen, { ...column, blocks }, scale)
    if (fits(placed, column.box)) return placed
  }
  return place(pen, column, scale)
}

const dropOf = (block: Block): number => ('drop' in block ? block.drop ?? 0 : 0)

/** The blocks without the one that may go first; undefined when all must stay. */
function withoutOne(blocks: readonly Block[]): readonly Block[] | undefined {
  const highest = Math.max(0, ...blocks.map(dropOf))
  return highest === 0 ? undefined : blocks.filter((block) => dropOf(block) !== highest)
}

function place(pen: Pen, column: Column, scale: number): readonly Placed[] {
  const em = column.emPx * scale
  const amount = column.blocks.find((block) => block.kind === 'amount')
  const amountText = amount === undefined ? undefined : placeAmount(pen, column, amount.amount, amount.em * em)
  const gapPx = Math.round(GAP_EM * em * scale) // White room gives way sooner than letters.
  const plain = (heightPx: number, draw: Draw): Placed => ({ heightPx, gapPx, space: false, isWhole: true, draw })
  let headlinePx = Infinity

  return column.blocks.flatMap((block, i): readonly Placed[] => {
    switch (block.kind) {
      case 'space': // One that stands first is at an edge, where no gap is needed.
        return [{ heightPx: i === 0 ? 0 : Math.round(SPACE_EM * em * scale), gapPx: 0, space: true, isWhole: true, draw: () => [] }]
      case 'rule':
        return [plain(Math.max(1, Math.round(em / 14)), (y) => rule(pen, column, y, em))]
      case 'bar':
        return [plain(Math.round(0.55 * em) + 2, (y) => bar(pen, column, y, Math.round(0.55 * em), block.filled, block.of, em))]
      case 'amount':
        return amountText === undefined ? [] : [plain(amountText.heightPx, amountText.draw)]
      case 'text': {
        const pxMax = Math.min((block.underAmount ?? 0.5) * (amountText?.px ?? Infinity), (block.underHeadline ?? Infinity) * headlinePx)
        const text = placeText(pen, column, block, em, pxMax)
        if (block.em >= LARGE_EM) headlinePx = text.px
        return [{ ...plain(text.heightPx, text.draw), isWhole: text.isWhole }]
      }
    }
  })
}

/** No larger than `pxLimit`, by which the amount stands out, and a headline from what explains it -- as long as it stays readable. */
function placeText(
  { typesetter }: Pen, { box, align }: Column, block: TextBlock, em: number, pxLimit: number,
): { readonly px: number; readonly heightPx: number; readonly isWhole: boolean; readonly draw: Draw } {
  const pxMax = Math.floor(Math.max(Math.min(block.em * em, pxLimit), smallest(block.text)))
  const inTurn = block.inTurn ?? [block.text]
  const set = (text: string, px: number, widthPx = box.widthPx) =>
    typesetter.set({ text, weight: block.weight, px, widthPx, linesMax: block.linesMax })
  const px = Math.min(...inTurn.map((text) => set(text, pxMax).px))
  const text = set(block.text, px)
  const heightPx = Math.max(text.heightPx, ...inTurn.map((other) => set(other, px).heightPx))
  return {
    px: text.px, heightPx, isWhole: !text.isCut || block.mayBeCut === true,
    draw: (y) => {
      const even = evenLines(text, box.widthPx, (widthPx) => set(block.text, text.px, widthPx))
      const { weight, isCut, widthPx } = even
      typesetter.draw(even, box.x, y, box.widthPx, align)
      return [{ what: 'text', box: { x: startOf(box, align, widthPx), y, widthPx, heightPx: even.heightPx }, text: block.text, weight, px: even.px, isCut }]
    },
  }
}

/** The same lines, no longer than they must be: one word alone on the last line looks like a mistake. */
function evenLines(text: SetText, widthPx: number, setIn: (widthPx: number) => SetText): SetText {
  if (text.lines.length === 1 || text.isCut) return text
  let [best, tooNarrow, wide] = [text, 0, widthPx]
  while (wide - tooNarrow > 1) {
    const width = Math.floor((tooNarrow + wide) / 2)
    const tried = setIn(width)
    const isSame = tried.px === text.px && !tried.isCut && tried.lines.length === text.lines.length && tried.heightPx <= text.heightPx + 1
    if (isSame) [best, wide] = [tried, width]
    else tooNarrow = width
  }
  return best
}

const startOf = (box: Box, align: Column['align'], widthPx: number): number =>
  (align === 'left' ? box.x : box.x + Math.floor((box.widthPx - widthPx) / 2))

const CODE_SIZE = 0.46
const CODE_PX_MIN = 9
const CODE_GAP = 0.24

/** The number as large as it may be, with the currency beside it, or above it where that makes the number much larger. */
function placeAmount({ typesetter }: Pen, { box, align }: Column, amount: Amount, pxMax: number): {
  readonly px: number; readonly heightPx: number; readonly draw: Draw
} {
  const [code = '', number = ''] = formatAmount(amount).split(' ')
  const emOf = (text: string) => typesetter.measure(text, 'bold', 100).widthPx / 100
  const beside = Math.floor(Math.min(pxMax, 0.98 * box.widthPx / (emOf(number) + CODE_GAP + CODE_SIZE * emOf(code))))
  const alone = Math.floor(Math.min(pxMax, 0.98 * box.widthPx / emOf(number)))
  const stacked = beside < 0.8 * alone || CODE_SIZE * beside < CODE_PX_MIN
  const px = Math.max(1, stacked ? alone : beside)

  const digits = tight(typesetter, number, px)
  const currency = tight(typesetter, code, Math.max(CODE_PX_MIN, CODE_SIZE * px))
  const gap = Math.round((stacked ? 0.16 : CODE_GAP) * px)
  const comma = Math.round(0.14 * px)
  const draw = (what: 'amount' | 'currency', text: SetText, x: number, y: number): Part => {
    const { widthPx, heightPx, weight, isCut } = text
    typesetter.draw(text, x, y, widthPx, 'left')
    const below = what === 'amount' ? comma : 0
    return { what, box: { x, y, widthPx, heightPx: heightPx + below }, text: what === 'amount' ? number : code, weight, px: text.px, isCut }
  }

  if (stacked) {
    return {
      px, heightPx: currency.heightPx + gap + digits.heightPx + comma,
      draw: (y) => [
        draw('currency', currency, startOf(box, align, currency.widthPx), y),
        draw('amount', digits, startOf(box, align, digits.widthPx), y + currency.heightPx + gap),
      ],
    }
  }
  return {
    px, heightPx: digits.heightPx + comma,
    draw: (y) => {
      const x = startOf(box, align, currency.widthPx + gap + digits.widthPx)
      return [
        draw('currency', currency, x, y + digits.heightPx - currency.heightPx),
        draw('amount', digits, x + currency.widthPx + gap, y),
      ]
    },
  }
}

/** One line of capitals and digits, without the room that letters below the line would need. */
function tight(typesetter: Typesetter, text: string, size: number): SetText {
  const px = Math.max(1, Math.round(size))
  const line = typesetter.measure(text, 'bold', px)
  return { weight: 'bold', px, lines: [line], widthPx: line.widthPx, heightPx: line.ascentPx, isCut: false }
}

function rule({ context }: Pen, { box: { x, widthPx } }: Column, y: number, em: number): readonly Part[] {
  const box: Box = { x, y: Math.round(y), widthPx, heightPx: Math.max(1, Math.round(em / 14)) }
  context.fillRect(box.x, box.y, box.widthPx, box.heightPx)
  return [{ what: 'rule', box }]
}

/** As a bar, but standing, in a box of its own: it empties from the top. */
export function drawStandingBar({ context }: Pen, box: Box, filled: number, of: number): Part {
  const gap = 2
  const cell = Math.floor((box.heightPx - gap * (of - 1)) / of)
  for (let i = 0; i < of; i++) {
    const y = box.y + i * (cell + gap)
    context.fillRect(box.x, y, box.widthPx, cell)
    if (i < of - filled) context.clearRect(box.x + 1, y + 1, box.widthPx - 2, cell - 2)
  }
  return { what: 'bar', box: { ...box, heightPx: cell * of + gap * (of - 1) } }
}

/** One cell a step; the spent ones keep their outline, so that the length still tells how much there was. */
function bar(
  { context }: Pen, { box, align }: Column, y: number, heightPx: number, filled: number, of: number, em: number,
): readonly Part[] {
  const gap = Math.max(2, Math.round(em / 8))
  const cell = Math.floor((Math.min(box.widthPx, 13 * em) - gap * (of - 1)) / of)
  const edge = Math.max(1, Math.round(em / 16))
  const widthPx = cell * of + gap * (of - 1)
  const left = startOf(box, align, widthPx)
  for (let i = 0; i < of; i++) {
    const x = left + i * (cell + gap)
    context.fillRect(x, Math.round(y), cell, heightPx)
    if (i >= filled) context.clearRect(x + edge, Math.round(y) + edge, cell - 2 * edge, heightPx - 2 * edge)
  }
  return [{ what: 'bar', box: { x: left, y: Math.round(y), widthPx, heightPx } }]
}
