/**
 * The brand's mark in the middle of a code: read once from the file that the brand supplied, never drawn by us. Off until a
 * file is named. What it may cover is the planner's business, and every frame with it is read back like any other.
 */
import { readFileSync, statSync } from 'node:fs'
import { PNG } from 'pngjs'
import { type Frame, strideBytes } from '../drivers/driver.js'

export const MARK_BYTES_MAX = 64 * 1024
/** Dots of the file along its side; on the panel it has far fewer. */
export const MARK_SIDE = { min: 16, max: 512 } as const

export type MarkReading = { readonly mark: Frame } | { readonly problem: string }

/** A square PNG; what is darker than the middle on white paper becomes ink. */
export function readMark(file: string): MarkReading {
  try {
    const size = statSync(file).size
    return size > MARK_BYTES_MAX ? { problem: `has ${size} bytes, more than ${MARK_BYTES_MAX}` } : decodeMark(readFileSync(file))
  } catch (error) {
    return { problem: `cannot be read: ${error instanceof Error ? error.message : String(error)}` }
  }
}

/** What the head says is judged before the dots are unpacked (PNG specification, 11.2.1: its width and height come first). */
export function decodeMark(bytes: Buffer): MarkReading {
  if (bytes.length < 24 || bytes.toString('latin1', 1, 4) !== 'PNG') return { problem: 'is no PNG' }
  const [widthPx, heightPx] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)]
  if (widthPx !== heightPx) return { problem: `is ${widthPx} x ${heightPx} dots, not square` }
  if (widthPx < MARK_SIDE.min || widthPx > MARK_SIDE.max) {
    return { problem: `is ${widthPx} dots wide; ${MARK_SIDE.min} to ${MARK_SIDE.max} can be used` }
  }
  let dots: Buffer
  try {
    dots = PNG.sync.read(bytes).data // Not by canvas, which ends the whole process over some damaged files.
  } catch (error) {
    return { problem: `is a damaged PNG (${error instanceof Error ? error.message : String(error)})` }
  }
  const mark = inkOf(dots, widthPx)
  return mark.bits.some((byte) => byte !== 0) ? { mark } : { problem: 'is all white' }
}

/** Four bytes a dot: red, green, blue, opacity. */
function inkOf(dots: Buffer, side: number): Frame {
  const stride = strideBytes(side)
  const bits = new Uint8Array(stride * side)
  for (let i = 0; i < side * side; i++) {
    const [red = 255, green = 255, blue = 255, opacity = 0] = dots.subarray(4 * i, 4 * i + 4)
    const ink = (255 - (0.299 * red + 0.587 * green + 0.114 * blue)) * opacity / 255
    const at = Math.floor(i / side) * stride + ((i % side) >> 3)
    if (ink > 127) bits[at] = (bits[at] ?? 0) | (0x80 >> (i % side & 7))
  }
  return { widthPx: side, heightPx: side, bits }
}

export interface MarkPlace {
  readonly x: number
  readonly y: number
  /** Of the white square. */
  readonly sidePx: number
  /** Stays white all round the mark. */
  readonly whitePx: number
}

/** Whole dots: one is ink where at least half of what the file has there is. */
export function stampMark({ widthPx, bits }: Frame, mark: Frame, { x, y, sidePx, whitePx }: MarkPlace): void {
  const stride = strideBytes(widthPx)
  const inner = sidePx - 2 * whitePx
  const isInk = (i: number, j: number): boolean =>
    i >= 0 && j >= 0 && i < inner && j < inner && inkShare(mark, i / inner, j / inner, 1 / inner) >= 0.5
  for (let j = 0; j < sidePx; j++) {
    for (let i = 0; i < sidePx; i++) {
      const at = (y + j) * stride + ((x + i) >> 3)
      const dot = 0x80 >> ((x + i) & 7)
      bits[at] = isInk(i - whitePx, j - whitePx) ? (bits[at] ?? 0) | dot : (bits[at] ?? 0) & ~dot
    }
  }
}

/** Of a square part of the mark, all as shares of its side. Looks at 8 x 8 places in it. */
function inkShare({ widthPx, bits }: Frame, left: number, top: number, side: number): number {
  const LOOKS = 8
  let ink = 0
  for (let j = 0; j < LOOKS; j++) {
    for (let i = 0; i < LOOKS; i++) {
      const x = Math.floor((left + (i + 0.5) / LOOKS * side) * widthPx)
      const y = Math.floor((top + (j + 0.5) / LOOKS * side) * widthPx)
      if ((((bits[y * strideBytes(widthPx) + (x >> 3)] ?? 0) << (x & 7)) & 0x80) !== 0) ink++
    }
  }
  return ink / (LOOKS * LOOKS)
}
