/**
 * Two decoders by different authors, on what the product really draws: as it is, and as a telephone in a hand sees it. And
 * drawings that are broken on purpose, which a telephone must not read: else the camera would prove nothing.
 */
import { afterAll, describe, expect, test } from 'vitest'
import type { CodePlan } from '../../device/qr.js'
import { type Frame, strideBytes } from '../../drivers/driver.js'
import { DECODERS, picture } from './read.js'
import { orderCode, PANELS, photographs, rendererOf, scanToPay, score } from './trials.js'

const PICTURES = 5
const LENGTHS = [63, 100] as const

/** Each picture is one of the twenty a second that a telephone takes; a panel may lose one of them to a decoder. */
const FLOOR = PICTURES - 1

const rows: string[] = []
const sum = { pictures: 0, zxing: 0, zbar: 0, either: 0 }
afterAll(() => { process.stdout.write(`${rows.join('\n')}\n`) })

/** The drawn code of a panel, and the code that stood there before. */
function drawn(index: number, chars: number): { payload: string; plan: CodePlan; frame: Frame; earlier: Frame; pitchMm: number } | undefined {
  const size = PANELS[index]?.size
  if (size === undefined) throw new Error(`there is no panel ${index}`)
  const payload = orderCode(chars, index)
  const renderer = rendererOf(size)
  const plan = renderer.plan(payload)
  if (!plan.fits) return undefined
  const [frame, earlier] = [renderer.render(scanToPay(payload)), renderer.render(scanToPay(orderCode(chars, 100 + index)))]
  return { payload, plan, frame, earlier, pitchMm: size.pitchMm }
}

test('on every panel both decoders read the code to the letter, from the clean picture', async () => {
  const codes = PANELS.flatMap((_, index) => [...LENGTHS, 180].flatMap((chars) => drawn(index, chars) ?? []))
  const pictures = codes.map(({ frame }) => picture(frame))
  const asked = codes.map(({ payload }) => [payload])
  expect(await DECODERS.zxing(pictures)).toEqual(asked)
  expect(await DECODERS.zbar(pictures)).toEqual(asked)
  expect(codes.length).toBeGreaterThanOrEqual(3 * PANELS.length - 3)
})

describe.each(PANELS.map(({ name }, index) => [name, index] as const))('a telephone before %s', (name, index) => {
  test.each(LENGTHS)('reads a code of %i characters at the comfortable distance', async (chars) => {
    const code = drawn(index, chars)
    if (code === undefined) throw new Error('this panel refuses the code')
    const distanceMm = code.plan.scan.comfortableMm
    const scores = await score(photographs({ ...code, distanceMm, count: PICTURES, seed: 100 * index + chars }), code.payload)
    rows.push(`${name.padEnd(52)}${chars} characters at ${distanceMm.toFixed(0).padStart(3)} mm: ` +
      `zxing ${scores.zxing}/${PICTURES}, zbar ${scores.zbar}/${PICTURES}, either ${scores.either}/${PICTURES}`)
    for (const key of ['pictures', 'zxing', 'zbar', 'either'] as const) sum[key] += scores[key]
    expect(scores).toMatchObject({ wrong: 0, either: PICTURES })
    expect(scores.zxing).toBeGreaterThanOrEqual(FLOOR)
  })
})

test('of all these pictures, every one is read, and 99 of 100 by the decoder that reads back', () => {
  rows.push(`${'all panels'.padEnd(52)}${sum.pictures} pictures: zxing ${sum.zxing}, zbar ${sum.zbar}, either ${sum.either}`)
  expect(sum.pictures).toBe(PANELS.length * LENGTHS.length * PICTURES)
  expect(sum.either).toBe(sum.pictures)
  expect(sum.zxing).toBeGreaterThanOrEqual(0.99 * sum.pictures)
  expect(sum.zbar).toBeGreaterThanOrEqual(0.95 * sum.pictures)
})

describe('a telephone before a broken drawing', () => {
  const index = PANELS.findIndex(({ name }) => name.startsWith('Waveshare 4.2 inch'))

  /** The symbol alone, with so many modules of white round it. */
  function symbol({ frame, plan }: { frame: Frame; plan: CodePlan }, quietModules: number): Frame {
    const first = firstDark(frame)
    const side = plan.symbolPx + 2 * quietModules * plan.modulePx
    const edge = quietModules * plan.modulePx
    return redraw(side, side, (x, y) => {
      const [i, j] = [x - edge, y - edge]
      return i >= 0 && j >= 0 && i < plan.symbolPx && j < plan.symbolPx && isDark(frame, first.x + i, first.y + j)
    })
  }

  async function read(spoil: (code: NonNullable<ReturnType<typeof drawn>>) => Frame): Promise<number> {
    const code = drawn(index, 63)
    if (code === undefined) throw new Error('this panel refuses the code')
    const taken = photographs({
      frame: spoil(code), pitchMm: code.pitchMm, distanceMm: code.plan.scan.comfortableMm, count: 8, seed: 7,
    })
    const [zxing, zbar] = [await DECODERS.zxing(taken), await DECODERS.zbar(taken)]
    return [...zxing, ...zbar].filter((texts) => texts.length > 0).length
  }

  test('reads the whole one, sixteen times of sixteen', async () => {
    expect(await read((code) => symbol(code, 4))).toBe(16)
  })

  test.each<readonly [string, (code: NonNullable<ReturnType<typeof drawn>>) => Frame]>([
    ['without a quiet zone in a dark bezel', (code) => symbol(code, 0)],
    ['inverted', (code) => redraw(code.frame.widthPx, code.frame.heightPx, (x, y) => !isDark(code.frame, x, y))],
    ['with two rows of modules gone', ({ frame, plan }) => {
      const gone = firstDark(frame).y + Math.floor(plan.modules.length / 3) * plan.modulePx
      return redraw(frame.widthPx, frame.heightPx, (x, y) => isDark(frame, x, y < gone ? y : y + 2 * plan.modulePx))
    }],
    ['half old and half new', ({ frame, earlier, plan }) => {
      const half = firstDark(frame).y + plan.symbolPx / 2
      return redraw(frame.widthPx, frame.heightPx, (x, y) => isDark(y < half ? earlier : frame, x, y))
    }],
  ])('reads nothing %s', async (_, spoil) => {
    expect(await read(spoil)).toBe(0)
  })
})

const isDark = ({ widthPx, heightPx, bits }: Frame, x: number, y: number): boolean =>
  x < widthPx && y < heightPx && (((bits[y * strideBytes(widthPx) + (x >> 3)] ?? 0) << (x & 7)) & 0x80) !== 0

function redraw(widthPx: number, heightPx: number, dark: (x: number, y: number) => boolean): Frame {
  const bits = new Uint8Array(strideBytes(widthPx) * heightPx)
  for (let y = 0; y < heightPx; y++) {
    for (let x = 0; x < widthPx; x++) {
      const at = y * strideBytes(widthPx) + (x >> 3)
      if (dark(x, y)) bits[at] = (bits[at] ?? 0) | (0x80 >> (x & 7))
    }
  }
  return { widthPx, heightPx, bits }
}

/** The upper left corner of the code: it stands at the left of a lying panel, and its finder is the leftmost ink. */
function firstDark(frame: Frame): { readonly x: number; readonly y: number } {
  for (let x = 0; x < frame.widthPx; x++) {
    for (let y = 0; y < frame.heightPx; y++) if (isDark(frame, x, y)) return { x, y }
  }
  throw new Error('the picture is white')
}
