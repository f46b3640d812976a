import { createCanvas } from 'canvas'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { crc32, deflateSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { decodeMark, MARK_BYTES_MAX, type MarkReading, readMark } from '../../device/mark.js'
import { planCode, verifyFrame } from '../../device/qr.js'
import { type Frame, strideBytes } from '../../drivers/driver.js'
import { encodePng } from '../../drivers/panel/png.js'
import { orderCode, PANELS, photographs, PLUS, rendererOf, scanToPay, score } from '../camera/trials.js'

const isDark = ({ widthPx, bits }: Frame, x: number, y: number): boolean =>
  (((bits[y * strideBytes(widthPx) + (x >> 3)] ?? 0) << (x & 7)) & 0x80) !== 0
const white = (widthPx: number, heightPx = widthPx): Frame => ({ widthPx, heightPx, bits: new Uint8Array(strideBytes(widthPx) * heightPx) })

function png(side: number, depth: number, raw: Buffer): Buffer {
  const head = Buffer.alloc(13)
  head.writeUInt32BE(side, 0)
  head.writeUInt32BE(side, 4)
  head[8] = depth
  const chunk = (name: string, data: Buffer): Buffer => {
    const [length, named, sum] = [Buffer.alloc(4), Buffer.concat([Buffer.from(name), data]), Buffer.alloc(4)]
    length.writeUInt32BE(data.length)
    sum.writeUInt32BE(crc32(named))
    return Buffer.concat([length, named, sum])
  }
  return Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IHDR', head), chunk('IDAT', deflateSync(raw)), chunk('IEND', Buffer.alloc(0)),
  ])
}

const problemOf = (reading: MarkReading): string => ('problem' in reading ? reading.problem : 'none')

describe('the file of the mark', () => {
  let folder = ''
  beforeEach(() => { folder = mkdtempSync(join(tmpdir(), 'mark-')) })
  afterEach(() => { rmSync(folder, { recursive: true, force: true }) })

  test('of one bit comes back dot by dot', () => {
    const file = join(folder, 'plus.png')
    writeFileSync(file, encodePng(PLUS))
    expect(readMark(file)).toEqual({ mark: PLUS })
  })

  test.each([
    ['is not there', undefined, 'cannot be read'],
    ['is too large', Buffer.alloc(MARK_BYTES_MAX + 1), 'more than 65536'],
    ['is empty', Buffer.alloc(0), 'no PNG'],
    ['is another kind of picture', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'.padEnd(200)), 'no PNG'],
    ['is nothing but see-through', createCanvas(64, 64).toBuffer('image/png'), 'all white'],
    ['is not square', encodePng(white(64, 32)), '64 x 32 dots'],
    ['is too small', encodePng(white(8)), '8 dots wide'],
    ['is too wide', encodePng(white(513)), '513 dots wide'],
    ['is all white', encodePng(white(64)), 'all white'],
    ['is cut off', encodePng(PLUS).subarray(0, 50), 'damaged'],
    ['says that it is huge', png(0x7fffffff, 1, Buffer.alloc(4)), 'dots wide'],
    ['unpacks to more than it says', png(32, 8, Buffer.alloc(10_000_000)), 'damaged'],
    ['has a filter that there is not', png(32, 8, Buffer.alloc(32 * 33, 5)), 'damaged'],
  ])('that %s is refused in words', (_, bytes, why) => {
    const file = join(folder, 'mark.png')
    if (bytes !== undefined) writeFileSync(file, bytes)
    expect(problemOf(readMark(file))).toContain(why)
  })

  test('in colours becomes ink where it is darker than the middle, and where it can be seen at all', () => {
    const canvas = createCanvas(64, 64)
    const context = canvas.getContext('2d')
    const fields = [['#1677ff', true], ['#ffd21e', false], ['#000000', true], ['#ffffff', false], ['rgba(0,0,0,0.2)', false]] as const
    fields.forEach(([colour], i) => {
      context.fillStyle = colour
      context.fillRect(12 * i, 0, 12, 64)
    })
    const reading = decodeMark(canvas.toBuffer('image/png'))
    if ('problem' in reading) throw new Error(reading.problem)
    fields.forEach(([colour, ink], i) => { expect(isDark(reading.mark, 12 * i + 6, 30), colour).toBe(ink) })
    expect(isDark(reading.mark, 63, 63)).toBe(false)
  })

  test('with any one byte changed is refused, since its checksums no longer hold, and never breaks the program', () => {
    const good = encodePng(PLUS)
    for (let at = 0; at < good.length; at++) {
      const bent = Buffer.from(good)
      bent[at] = (bent[at] ?? 0) ^ 0x55
      expect(problemOf(decodeMark(bent)), `byte ${at}`).not.toBe('none')
    }
  })
})

describe('a code with a mark', () => {
  const payload = orderCode(100)

  test('has none unless one is given', () => {
    for (const { size } of PANELS) {
      const renderer = rendererOf(size)
      expect(renderer.plan(payload)).not.toHaveProperty('mark')
      expect(renderer.unmarked).toBeUndefined()
    }
  })

  test('has correction Q and a fifth of its side, or M and less, with all its white round it', () => {
    const seen = new Set<string>()
    for (const { size } of PANELS) {
      for (const chars of [63, 100, 180, 300]) {
        const plan = rendererOf(size, PLUS).plan(orderCode(chars))
        if (!plan.fits || plan.mark === undefined) continue
        seen.add(plan.correction)
        expect(plan.quietModules).toBe(4)
        expect(plan.mark.modules / plan.modules.length).toBeLessThanOrEqual(plan.correction === 'Q' ? 0.2 : 0.15)
      }
    }
    expect([...seen].sort()).toEqual(['M', 'Q'])
  })

  test('does without it where only the weakest correction fits', () => {
    expect(planCode(payload, { widthPx: 124, heightPx: 124 }, 0.138, PLUS)).toMatchObject({ fits: true, correction: 'L' })
    expect(planCode(payload, { widthPx: 124, heightPx: 124 }, 0.138, PLUS)).not.toHaveProperty('mark')
  })

  test('differs from the same code without it in the white square in the middle alone, where the mark stands', () => {
    const size = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }
    const renderer = rendererOf(size, PLUS)
    const plan = renderer.plan(payload)
    if (!plan.fits || plan.mark === undefined) throw new Error('no mark here')
    expect(rendererOf(size).plan(payload)).toMatchObject({ version: plan.version, correction: plan.correction, modulePx: plan.modulePx })
    const [marked, plain] = [renderer.render(scanToPay(payload)), rendererOf(size).render(scanToPay(payload))]
    const changed: { x: number; y: number }[] = []
    for (let y = 0; y < 300; y++) for (let x = 0; x < 400; x++) if (isDark(marked, x, y) !== isDark(plain, x, y)) changed.push({ x, y })
    const side = plan.mark.modules * plan.modulePx
    const [xs, ys] = [changed.map(({ x }) => x), changed.map(({ y }) => y)]
    expect(Math.max(...xs) - Math.min(...xs)).toBeLessThan(side)
    expect(Math.max(...ys) - Math.min(...ys)).toBeLessThan(side)
    // White at the square's corners, ink in its very middle.
    const [left, top] = [Math.round((Math.min(...xs) + Math.max(...xs) + 1 - side) / 2), Math.round((Math.min(...ys) + Math.max(...ys) + 1 - side) / 2)]
    for (const [x, y] of [[0, 0], [side - 1, 0], [0, side - 1], [side - 1, side - 1]] as const) expect(isDark(marked, left + x, top + y)).toBe(false)
    expect(isDark(marked, left + Math.floor(side / 2), top + Math.floor(side / 2))).toBe(true)
  })

  test('reads back on every panel, with correction of every version it may have', async () => {
    let marked = 0
    for (const { name, size } of PANELS) {
      for (const chars of [63, 100, 140, 180, 250, 300]) {
        const renderer = rendererOf(size, PLUS)
        const text = orderCode(chars)
        const plan = renderer.plan(text)
        if (!plan.fits || plan.mark === undefined) continue
        marked++
        expect(await verifyFrame(renderer.render(scanToPay(text)), text), `${name} ${chars}`).toBe('matches')
      }
    }
    expect(marked).toBeGreaterThan(80)
  })

  test('that did not read back is drawn without it', async () => {
    const size = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }
    const renderer = rendererOf(size, PLUS)
    const plain = renderer.unmarked?.render(scanToPay(payload))
    expect(plain).toEqual(rendererOf(size).render(scanToPay(payload)))
    expect(plain === undefined ? 'none' : await verifyFrame(plain, payload)).toBe('matches')
  })

  test.each(PANELS.filter(({ name }) => !/1\.54|standing/.test(name)).map(({ name, size }) => [name, size] as const))(
    'is read by a telephone before %s', async (_, size) => {
      const renderer = rendererOf(size, PLUS)
      for (const chars of [63, 180]) {
        const text = orderCode(chars)
        const plan = renderer.plan(text)
        if (!plan.fits) throw new Error('this panel refuses the code')
        const taken = photographs({
          frame: renderer.render(scanToPay(text)), pitchMm: size.pitchMm, distanceMm: plan.scan.comfortableMm, count: 4, seed: chars,
        })
        expect(await score(taken, text)).toMatchObject({ either: 4, wrong: 0 })
      }
    })
})
