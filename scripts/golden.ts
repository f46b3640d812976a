/**
 * What every screen looked like when somebody last looked at all of them: test/golden/. One line a picture, with a hash of
 * its dots and the boxes of its parts, and for a few panels the pictures themselves. The tests compare; `node
 * dist/scripts/preview.js --accept` writes them anew, and the difference is then read like any other.
 */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createCanvas } from 'canvas'
import type { Box, Part } from '../device/layout.js'
import { createRenderer, type Picture } from '../device/render.js'
import { FONT_FAMILIES } from '../device/typeset.js'
import { type Language, LANGUAGES } from '../device/words.js'
import { type Frame, type PanelSize, strideBytes } from '../drivers/driver.js'
import { PANELS, screensOf, SITES } from './every-screen.js'

export const GOLDEN = { lines: 'screens.txt', drawnWith: 'drawn-with.json', sheet: (panel: string) => `${panel}.png` }

/** One of every kind: small and lying, small and standing, square, the recommended one. */
export const GOLDEN_SHEETS: readonly string[] = ['250x122-194um', '128x296-226um', '200x200-135um', '400x300-212um']

/** Screens by name, for each language. */
export type Pictures = ReadonlyMap<Language, ReadonlyMap<string, Picture>>

export function picturesOf(size: PanelSize): Pictures {
  return new Map(LANGUAGES.map((language) => {
    const screens = screensOf(SITES[language])
    const [renderer, keyless] = [createRenderer({ size, ...SITES[language] }), createRenderer({ size, ...SITES[language], keypad: false })]
    const pictures = [...screens].flatMap(([name, view]): [string, Picture][] => [
      [name, renderer.paint(view)], ...(name === 'enter-amount' ? [['ready', keyless.paint(view)] satisfies [string, Picture]] : []),
    ])
    return [language, new Map(pictures)]
  }))
}

export function goldenLines(panel: string, pictures: Pictures): readonly string[] {
  return [...pictures].flatMap(([language, screens]) => [...screens].map(([screen, { frame, parts }]) => {
    const dots = createHash('sha256').update(frame.bits).digest('hex').slice(0, 12)
    return [`${panel} ${language} ${screen}`, dots, ...parts.map(describe)].join(' | ')
  }))
}

const describe = ({ what, box }: Part): string => `${what} ${box.x},${box.y} ${box.widthPx}x${box.heightPx}`

/** A line as data: for machines whose fonts draw other dots, where only the boxes can be compared. */
export interface GoldenLine {
  readonly name: string
  readonly dots: string
  readonly boxes: readonly { readonly what: string; readonly box: Box }[]
}

export function readLine(line: string): GoldenLine {
  const [name = '', dots = '', ...parts] = line.split(' | ')
  return {
    name, dots,
    boxes: parts.map((part) => {
      const [what = '', ...numbers] = part.split(/[ ,x](?=[0-9])/)
      const [x = 0, y = 0, widthPx = 0, heightPx = 0] = numbers.map(Number)
      return { what, box: { x, y, widthPx, heightPx } }
    }),
  }
}

/** One column a language, one row a screen, with ink between them; still one bit a dot. */
export function sheetOf({ widthPx, heightPx }: PanelSize, pictures: Pictures): Frame {
  const columns = [...pictures.values()].map((screens) => [...screens.values()])
  const [cell, gapPx] = [strideBytes(widthPx) + 1, 4]
  const stride = columns.length * cell
  const rows = Math.max(...columns.map((column) => column.length))
  const bits = new Uint8Array(stride * rows * (heightPx + gapPx)).fill(0xff)
  columns.forEach((column, i) => {
    column.forEach(({ frame }, j) => {
      for (let y = 0; y < heightPx; y++) {
        const row = frame.bits.subarray(y * strideBytes(widthPx), (y + 1) * strideBytes(widthPx))
        bits.set(row, (j * (heightPx + gapPx) + y) * stride + i * cell)
      }
    })
  })
  return { widthPx: 8 * stride, heightPx: rows * (heightPx + gapPx), bits }
}

export interface DrawnWith {
  readonly canvas: string
  /** SHA-256 of each font file that draws our texts. */
  readonly fonts: Readonly<Record<string, string>>
  /** SHA-256 of a probe's dots: the same files are drawn otherwise by other versions of the libraries under canvas. */
  readonly hand: string
}

const FACES = ['DejaVu Sans', 'DejaVu Sans:bold', 'Loma', 'Loma:bold', 'WenQuanYi Micro Hei']

export function drawnWith(): DrawnWith {
  const fonts = FACES.map((face) => {
    const path = execFileSync('fc-match', ['--format', '%{file}', face], { encoding: 'utf8' })
    return [face, createHash('sha256').update(readFileSync(path)).digest('hex')] as const
  })
  const { version } = JSON.parse(readFileSync(new URL(import.meta.resolve('canvas/package.json')), 'utf8')) as { version: string }
  return { canvas: version, fonts: Object.fromEntries(fonts), hand: probe() }
}

function probe(): string {
  const canvas = createCanvas(600, 200)
  const context = canvas.getContext('2d', { pixelFormat: 'A8' })
  const faces = ['normal 11px', 'bold 17px', 'bold 37px']
  faces.forEach((face, i) => {
    context.font = `${face} ${FONT_FAMILIES}`
    context.fillText('Sgf&8 ชำระเงินที่ 请勿重复支付', 4, 30 + 60 * i)
  })
  return createHash('sha256').update(canvas.toBuffer('raw')).digest('hex')
}

export function everyPicture(): ReadonlyMap<string, { readonly size: PanelSize; readonly pictures: Pictures }> {
  return new Map([...PANELS].map(([panel, size]) => [panel, { size, pictures: picturesOf(size) }]))
}
