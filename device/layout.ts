/**
 * A column of blocks in a box: as large as asked if it fits, else everything smaller together, else without the blocks
 * that may go. Never draws outside its box. Knows canvas and text; knows no screens.
 */
import type { CanvasRenderingContext2D } from 'canvas'
import { type Amount, formatAmount } from './protocol/money.js'
import { smallest, type Typesetter, type Weight } from './typeset.js'

export interface Box {
  readonly x: number
  readonly y: number
  readonly widthPx: number
  readonly heightPx: number
}

/** Sizes are in em: multiples of the column's `emPx`. */
export type Block =
  | {
      readonly kind: 'text'; readonly text: string; readonly weight: Weight; readonly em: number; readonly linesMax: number
      /** May be left out where there is no room, the highest number first. */
      readonly drop?: number
    }
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

const SCALE_STEP = 0.95
/** Rather than make everything smaller than this, something goes. */
const SCALE_COMFORT = 0.7
const SCALE_MIN = 0.3
const GAP_EM = 0.24
const SPACE_EM = 0.45

/** Says how high the blocks stand; more than the box when even the smallest had to be cut. */
export function drawColumn(pen: Pen, column: Column): number {
  const { context } = pen
  const { box } = column
  const placed = fit(pen, column)
  const spaces = placed.filter((block) => block.space).length
  const left = Math.max(0, box.heightPx - 1 - heightOf(placed))
  const share = spaces === 0 ? 0 : Math.floor(left / spaces)

  context.save()
  context.beginPath()
  context.rect(box.x, box.y, box.widthPx, box.heightPx)
  context.clip()
  let y = box.y + (spaces === 0 ? Math.floor(left / 2) : 0)
  for (const block of placed) {
    block.draw(y)
    y += block.heightPx + block.gapPx + (block.space ? share : 0)
  }
  context.restore()
  return heightOf(placed)
}

interface Placed {
  readonly heightPx: number
  /** To the next block. */
  readonly gapPx: number
  readonly space: boolean
  readonly draw: (y: number) => void
}

const heightOf = (placed: readonly Placed[]): number =>
  placed.reduce((sum, block, i) => sum + block.heightPx + (i === placed.length - 1 ? 0 : block.gapPx), 0)

function fit(pen: Pen, column: Column): readonly Placed[] {
  let blocks = column.blocks
  for (;;) {
    const next = withoutOne(blocks)
    const scaleMin = next === undefined ? SCALE_MIN : SCALE_COMFORT
    for (let scale = 1; scale >= scaleMin; scale *= SCALE_STEP) {
      const placed = place(pen, { ...column, blocks }, scale)
      if (heightOf(placed) < column.box.heightPx) return placed // A row stays free: ink in it means something was cut.
    }
    if (next === undefined) return place(pen, { ...column, blocks }, SCALE_MIN)
    blocks = next
  }
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
  const plain = (heightPx: number, draw: (y: number) => void): Placed => ({ heightPx, gapPx, space: false, draw })

  return column.blocks.flatMap((block, i): readonly Placed[] => {
    switch (block.kind) {
      case 'space': // One that stands first is at an edge, where no gap is needed.
        return [{ heightPx: i === 0 ? 0 : Math.round(SPACE_EM * em * scale), gapPx: 0, space: true, draw: () => undefined }]
      case 'rule':
        return [plain(Math.max(1, Math.round(em / 14)), (y) => { rule(pen, column, y, em) })]
      case 'bar':
        return [plain(Math.round(0.55 * em) + 2, (y) => { bar(pen, column, y, Math.round(0.55 * em), block.filled, block.of, em) })]
      case 'amount':
        return amountText === undefined ? [] : [plain(amountText.heightPx, amountText.draw)]
      case 'text': {
        const text = placeText(pen, column, block, em, amountText?.px)
        return [plain(text.heightPx, text.draw)]
      }
    }
  })
}

/** The amount is at least twice as large as any other text -- as long as that leaves the other text readable. */
function placeText(
  { typesetter }: Pen, { box, align }: Column, block: Extract<Block, { kind: 'text' }>, em: number, amountPx: number | undefined,
): { readonly heightPx: number; readonly draw: (y: number) => void } {
  const wanted = Math.min(block.em * em, (amountPx ?? Infinity) / 2)
  const px = Math.floor(Math.max(wanted, smallest(block.text)))
  const text = typesetter.set({ text: block.text, weight: block.weight, px, widthPx: box.widthPx, linesMax: block.linesMax })
  return { heightPx: text.heightPx, draw: (y) => { typesetter.draw(text, box.x, y, box.widthPx, align) } }
}

const CODE_SIZE = 0.46
const CODE_PX_MIN = 9
const CODE_GAP = 0.24

/** The number as large as it may be, with the currency beside it, or above it where that makes the number much larger. */
function placeAmount({ typesetter }: Pen, { box, align }: Column, amount: Amount, pxMax: number): {
  readonly px: number; readonly heightPx: number; readonly draw: (y: number) => void
} {
  const [code = '', number = ''] = formatAmount(amount).split(' ')
  const emOf = (text: string) => typesetter.measure(text, 'bold', 100).widthPx / 100
  const beside = Math.floor(Math.min(pxMax, 0.98 * box.widthPx / (emOf(number) + CODE_GAP + CODE_SIZE * emOf(code))))
  const alone = Math.floor(Math.min(pxMax, 0.98 * box.widthPx / emOf(number)))
  const stacked = beside < 0.8 * alone || CODE_SIZE * beside < CODE_PX_MIN
  const px = Math.max(1, stacked ? alone : beside)

  const tight = (text: string, size: number) => {
    const line = typesetter.measure(text, 'bold', Math.max(1, Math.round(size)))
    return { weight: 'bold' as const, px: Math.max(1, Math.round(size)), lines: [line], heightPx: line.ascentPx, widthPx: line.widthPx }
  }
  const digits = tight(number, px)
  const currency = tight(code, Math.max(CODE_PX_MIN, CODE_SIZE * px))
  const gap = Math.round((stacked ? 0.16 : CODE_GAP) * px)
  const comma = Math.round(0.14 * px)
  const draw = (text: typeof digits, x: number, y: number) => { typesetter.draw(text, x, y, text.widthPx, 'left') }
  const startOf = (widthPx: number) => (align === 'left' ? box.x : box.x + Math.floor((box.widthPx - widthPx) / 2))

  if (stacked) {
    return {
      px, heightPx: currency.heightPx + gap + digits.heightPx + comma,
      draw: (y) => {
        draw(currency, startOf(currency.widthPx), y)
        draw(digits, startOf(digits.widthPx), y + currency.heightPx + gap)
      },
    }
  }
  return {
    px, heightPx: digits.heightPx + comma,
    draw: (y) => {
      const x = startOf(currency.widthPx + gap + digits.widthPx)
      draw(currency, x, y + digits.heightPx - currency.heightPx)
      draw(digits, x + currency.widthPx + gap, y)
    },
  }
}

function rule({ context }: Pen, { box }: Column, y: number, em: number): void {
  context.fillRect(box.x, Math.round(y), box.widthPx, Math.max(1, Math.round(em / 14)))
}

/** One cell a step; the spent ones keep their outline, so that the length still tells how much there was. */
function bar({ context }: Pen, { box, align }: Column, y: number, heightPx: number, filled: number, of: number, em: number): void {
  const gap = Math.max(2, Math.round(em / 8))
  const cell = Math.floor((Math.min(box.widthPx, 13 * em) - gap * (of - 1)) / of)
  const edge = Math.max(1, Math.round(em / 16))
  const width = cell * of + gap * (of - 1)
  const left = align === 'left' ? box.x : box.x + Math.floor((box.widthPx - width) / 2)
  for (let i = 0; i < of; i++) {
    const x = left + i * (cell + gap)
    context.fillRect(x, Math.round(y), cell, heightPx)
    if (i >= filled) context.clearRect(x + edge, Math.round(y) + edge, cell - 2 * edge, heightPx - 2 * edge)
  }
}
