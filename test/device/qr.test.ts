import fc from 'fast-check'
import encodeQR from 'qr'
import { describe, expect, test } from 'vitest'
import { type CodePlan, loadReader, MODULE_MM_MIN, planCode, readBack, SYMBOL_MM, verifyFrame } from '../../device/qr.js'
import { type Frame, strideBytes } from '../../drivers/driver.js'

const URL_63 = 'https://qr.alipayplus.com/281666040092abcDEF7719XyZ0123456789kQ'
const urlOf = (chars: number): string => 'https://qr.alipayplus.com/'.padEnd(chars, 'aB3xY9')

const planned = (payload: string, side: number, pitchMm: number): CodePlan => {
  const plan = planCode(payload, { widthPx: side, heightPx: side }, pitchMm)
  if (!plan.fits) throw new Error(plan.text)
  return plan
}

const MARK: Frame = { widthPx: 16, heightPx: 16, bits: new Uint8Array(32).fill(0xff) }

type Picture = { readonly sidePx: number; readonly dark: boolean[][] }

function drawn(payload: string, sidePx = 240, pitchMm = 0.212): Picture & { readonly plan: CodePlan } {
  const plan = planned(payload, sidePx, pitchMm)
  const edge = Math.floor((sidePx - plan.symbolPx) / 2)
  const dark = Array.from({ length: sidePx }, (_, y) => Array.from({ length: sidePx }, (__, x) =>
    plan.modules[Math.floor((y - edge) / plan.modulePx)]?.[Math.floor((x - edge) / plan.modulePx)] ?? false))
  return { sidePx, dark, plan }
}

function frameOf({ dark, sidePx }: Picture): Frame {
  const bits = new Uint8Array(strideBytes(sidePx) * sidePx)
  dark.forEach((row, y) => {
    row.forEach((isDark, x) => {
      const at = y * strideBytes(sidePx) + (x >> 3)
      if (isDark) bits[at] = (bits[at] ?? 0) | (0x80 >> (x & 7))
    })
  })
  return { widthPx: sidePx, heightPx: sidePx, bits }
}

describe('planning a code for a panel', () => {
  test.each([
    // payload, side, pitch -> level, dots, quiet zone
    ['4.2 inch', URL_63, 300, 0.212, 'Q', 6, 4],
    ['7.5 inch: no larger than a counter needs', URL_63, 480, 0.204, 'Q', 7, 4],
    ['2.7 inch: L, since only that keeps 4 dots', URL_63, 176, 0.217, 'L', 4, 4],
    ['2.9 inch: L, since only that keeps 3 dots', URL_63, 128, 0.226, 'L', 3, 4],
    ['2.9 inch and 180 characters: 2 dots of 0.45 mm', urlOf(180), 128, 0.226, 'M', 2, 4],
    ['2.9 inch and 200 characters: the quiet zone gives way last', urlOf(220), 128, 0.226, 'L', 2, 4],
    ['2.9 inch and 270 characters', urlOf(270), 128, 0.226, 'L', 2, 2],
  ] as const)('%s', (_, payload, side, pitchMm, correction, modulePx, quietModules) => {
    expect(planned(payload, side, pitchMm)).toMatchObject({ correction, modulePx, quietModules })
  })

  test('what it says about the code is what was drawn', () => {
    const plan = planned(URL_63, 240, 0.212)
    expect(plan.modules).toHaveLength(17 + 4 * plan.version)
    expect(plan.modules.every((row) => row.length === plan.modules.length)).toBe(true)
    expect(plan.symbolPx).toBe(plan.modules.length * plan.modulePx)
    expect(plan.outerPx).toBe(plan.symbolPx + 8 * plan.modulePx)
    expect(plan.scan.moduleMm).toBeCloseTo(plan.modulePx * 0.212)
    expect(plan.scan.symbolMm).toBeCloseTo(plan.symbolPx * 0.212)
    expect(plan.scan.quietMm).toBeCloseTo(4 * plan.modulePx * 0.212)
    expect(plan.scan.comfortableMm).toBeCloseTo(350 * plan.modulePx * 0.212)
  })

  test('a dense code is read from nearer than ten times its side: a telephone must see its modules', () => {
    const coarse = planned('HTTPS://A.EXAMPLE', 240, 0.212)
    expect(coarse.scan.comfortableMm).toBeCloseTo(10 * coarse.scan.symbolMm)
    const dense = planned(urlOf(300), 480, 0.204)
    expect(dense.scan.comfortableMm).toBeCloseTo(350 * dense.scan.moduleMm)
    expect(dense.scan.comfortableMm).toBeLessThan(10 * dense.scan.symbolMm)
  })

  test('a code either fits with modules a telephone can see, or is refused with the numbers: any panel, pitch and length', () => {
    const panels = fc.record({
      widthPx: fc.integer({ min: 1, max: 4096 }), heightPx: fc.integer({ min: 1, max: 4096 }),
      pitchMm: fc.double({ min: 0.05, max: 2, noNaN: true }), chars: fc.integer({ min: 27, max: 512 }), marked: fc.boolean(),
    })
    fc.assert(fc.property(panels, ({ widthPx, heightPx, pitchMm, chars, marked }) => {
      const sidePx = Math.min(widthPx, heightPx)
      const plan = planCode(urlOf(chars), { widthPx, heightPx }, pitchMm, marked ? MARK : undefined)
      if (!plan.fits) {
        expect(plan.refused).toBe('too fine for this panel')
        const [, needed, had] = /needs ([0-9]+) dots of .* it has ([0-9]+)$/.exec(plan.text) ?? []
        expect(Number(had)).toBe(sidePx)
        expect(Number(needed)).toBeGreaterThan(sidePx)
        return
      }
      const side = plan.modules.length
      expect(side).toBe(17 + 4 * plan.version)
      expect(plan.modulePx).toSatisfy(Number.isInteger)
      expect(plan.modulePx).toBeGreaterThanOrEqual(2)
      expect(plan.scan.moduleMm).toBeGreaterThanOrEqual(MODULE_MM_MIN)
      expect(plan.outerPx).toBe((side + 2 * plan.quietModules) * plan.modulePx)
      expect(plan.outerPx).toBeLessThanOrEqual(sidePx)
      // As near to 60 mm as whole dots come, unless two of them already are more than that.
      if (plan.modulePx > 2) expect(plan.scan.symbolMm).toBeLessThanOrEqual(SYMBOL_MM + side * pitchMm / 2 + 1e-9)
      expect(plan.scan.comfortableMm).toBeLessThanOrEqual(10 * plan.scan.symbolMm)
      if (plan.mark === undefined) return
      expect(plan.correction).not.toBe('L')
      expect(plan.quietModules).toBe(4)
      expect(plan.mark.modules % 2).toBe(1)
      expect(plan.mark.modules / side).toBeLessThanOrEqual(plan.correction === 'Q' ? 0.2 : 0.15)
    }), { numRuns: 300, seed: 4 })
  })

  test('a code that is refused would not fit with the weakest correction, the narrow quiet zone and the fewest dots', () => {
    const panels = fc.record({
      sidePx: fc.integer({ min: 64, max: 200 }), pitchMm: fc.double({ min: 0.1, max: 0.3, noNaN: true }), chars: fc.integer({ min: 27, max: 512 }),
    })
    fc.assert(fc.property(panels, ({ sidePx, pitchMm, chars }) => {
      const plan = planCode(urlOf(chars), { widthPx: sidePx, heightPx: sidePx }, pitchMm)
      const least = encodeQR(urlOf(chars), 'raw', { ecc: 'low', border: 1 }).length - 2
      const dots = Math.max(2, Math.ceil(MODULE_MM_MIN / pitchMm))
      expect(plan.fits).toBe((least + 4) * dots <= sidePx)
    }), { numRuns: 300, seed: 4 })
  })

  test('the same text on the same panel is the same picture every time: the encoder chooses the mask, not chance', () => {
    expect(planCode(URL_63, { widthPx: 300, heightPx: 300 }, 0.212)).toEqual(planCode(URL_63, { widthPx: 300, heightPx: 300 }, 0.212))
  })

  test('modules a telephone could not see are refused, with the numbers', () => {
    expect(planCode(URL_63, { widthPx: 240, heightPx: 240 }, 0.05)).toMatchObject({
      fits: false, refused: 'too fine for this panel', text: expect.stringContaining('0.38 mm') as string,
    })
  })

  test('a text that no offer may carry is refused', () => {
    for (const payload of ['', 'x'.repeat(513)]) {
      expect(planCode(payload, { widthPx: 480, heightPx: 480 }, 0.2)).toMatchObject({ fits: false, refused: 'text too long' })
    }
  })
})

describe('reading back what goes to the panel', () => {
  test.each([
    ['a web address', URL_63, 240], ['capitals only', 'HTTPS://QR.ALIPAYPLUS.COM/281666040092ABCDEF', 240],
    ['digits only', '0123456789'.repeat(5), 240], ['every printable character', Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join(''), 300],
    ['the longest', urlOf(512), 480],
  ])('%s comes back to the letter', async (_, payload, side) => {
    expect(await readBack(frameOf(drawn(payload, side)))).toBe(payload)
  })

  test('a width that is no whole number of bytes is read as well', async () => {
    for (const side of [233, 234, 239]) expect(await verifyFrame(frameOf(drawn(URL_63, side)), URL_63)).toBe('matches')
  })

  test('another payload is told from none at all', async () => {
    const frame = frameOf(drawn(URL_63))
    expect(await verifyFrame(frame, URL_63)).toBe('matches')
    expect(await verifyFrame(frame, `${URL_63.slice(0, -1)}R`)).toBe('another payload')
    expect(await verifyFrame({ ...frame, bits: new Uint8Array(frame.bits.length) }, URL_63)).toBe('unreadable')
  })

  test.each<readonly [string, (picture: Picture, plan: CodePlan) => boolean[][]]>([
    ['inverted', ({ dark }) => dark.map((row) => row.map((isDark) => !isDark))],
    ['mirrored', ({ dark }) => dark.map((row) => [...row].reverse())],
    ['turned by a quarter', ({ dark, sidePx }) => dark.map((row, y) => row.map((_, x) => dark[x]?.[sidePx - 1 - y] ?? false))],
    ['upside down', ({ dark }) => [...dark].reverse().map((row) => [...row].reverse())],
    ['shifted off the panel', ({ dark }, { outerPx }) => dark.map((row) => [...row.slice(outerPx / 3), ...row.slice(0, outerPx / 3).fill(false)])],
    ['shifted round the edge', ({ dark }, { outerPx }) => dark.map((row) => [...row.slice(outerPx / 3), ...row.slice(0, outerPx / 3)])],
    ['with each row shifted by one more dot', ({ dark }) => dark.map((row, y) => [...row.slice(y % row.length), ...row.slice(0, y % row.length)])],
    ['with a third of its modules flipped', ({ dark, sidePx }) => dark.map((row, y) => row.map((isDark, x) =>
      (x > sidePx * 0.4 && x < sidePx * 0.7 && y > sidePx * 0.2 && y < sidePx * 0.8 ? !isDark : isDark)))],
    ['with a corner painted over', ({ dark, sidePx }) => dark.map((row, y) => row.map((isDark, x) =>
      (x < sidePx * 0.35 && y < sidePx * 0.35 ? false : isDark)))],
    ['with bits in the wrong order', ({ dark }) => dark.map((row) => row.map((_, x) => row[(x & ~7) + 7 - (x & 7)] ?? false))],
    ['twice in the picture', ({ dark }) => dark.map((row) => [...row, ...row])],
  ])('a frame %s is no code', async (_, spoil) => {
    const picture = drawn(URL_63)
    const dark = spoil(picture, picture.plan)
    const sidePx = Math.max(dark.length, dark[0]?.length ?? 0)
    while (dark.length < sidePx) dark.push(Array.from({ length: sidePx }, () => false))
    expect(await verifyFrame(frameOf({ dark, sidePx }), URL_63)).toBe('unreadable')
  })

  test('a frame whose bytes are not its size is a broken program, not an unreadable code', async () => {
    await loadReader()
    await expect(readBack({ widthPx: 64, heightPx: 64, bits: new Uint8Array(3) })).rejects.toThrow('64x64')
  })
})
