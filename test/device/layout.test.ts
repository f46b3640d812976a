import { createCanvas } from 'canvas'
import { describe, expect, test } from 'vitest'
import { type Block, drawColumn, type Part } from '../../device/layout.js'
import { createTypesetter } from '../../device/typeset.js'

function sheet(widthPx: number, heightPx: number) {
  const canvas = createCanvas(widthPx, heightPx)
  const context = canvas.getContext('2d', { pixelFormat: 'A8' })
  const ink = (x: number, y: number) => (canvas.toBuffer('raw')[y * canvas.stride + x] ?? 0) >= 104
  const inkedRows = () => {
    const raw = canvas.toBuffer('raw')
    return Array.from({ length: heightPx }, (_, y) => raw.subarray(y * canvas.stride, y * canvas.stride + widthPx).some((value) => value >= 104))
  }
  return { context, typesetter: createTypesetter(context), ink, inkedRows }
}

/** Heights of the bands of rows that have ink, from the top. */
function bands(rows: readonly boolean[]): readonly number[] {
  const heights: number[] = []
  rows.forEach((inked, y) => {
    if (!inked) return
    if (rows[y - 1] === true) heights.push((heights.pop() ?? 0) + 1)
    else heights.push(1)
  })
  return heights
}

/** Where the lowest of them ends. */
const endOf = (parts: readonly Part[]): number => Math.max(...parts.map(({ box }) => box.y + box.heightPx))

const LONG_NAMES = [
  'The Very Long Named Kopitiam & Toast Co.', 'ร้านก๋วยเตี๋ยวเรือป้าแดงสาขาถนนสุขุมวิท๗', '新加坡中央商业区老字号传统海南鸡饭与咖喱鱼头专卖店有限公司第二分店',
  'W'.repeat(40), 'ก'.repeat(40), '',
]

describe('text', () => {
  test.each(LONG_NAMES)('%j stays inside its width and its lines, cut with an ellipsis if need be', (text) => {
    const { typesetter } = sheet(400, 300)
    for (const widthPx of [60, 126, 165, 300]) {
      for (const linesMax of [1, 2]) {
        const set = typesetter.set({ text, weight: 'bold', px: 24, widthPx, linesMax })
        expect(set.lines.length).toBeLessThanOrEqual(linesMax)
        for (const line of set.lines) expect(line.widthPx).toBeLessThanOrEqual(widthPx)
        const kept = set.lines.map((line) => line.text).join('').replaceAll(' ', '')
        const whole = text.replaceAll(' ', '')
        expect(kept === whole || kept.endsWith('…') && whole.startsWith(kept.slice(0, -1)), `${kept} of ${whole}`).toBe(true)
      }
    }
  })

  test('breaks at spaces first, at words where a script has none, and never inside what is held together', () => {
    const { typesetter } = sheet(400, 300)
    const lines = (text: string, widthPx: number) =>
      typesetter.set({ text, weight: 'normal', px: 20, widthPx, linesMax: 9 }).lines.map((line) => line.text)
    expect(lines('Scan to pay', 80)).toEqual(['Scan to', 'pay'])
    expect(lines('ชำระด้วย QR ไม่ได้ชั่วคราว', 130)).toEqual(['ชำระด้วย QR', 'ไม่ได้ชั่วคราว'])
    expect(lines('Alipay, Touch\u00a0\'n\u00a0Go, GCash', 130)).toEqual(['Alipay,', 'Touch\u00a0\'n\u00a0Go,', 'GCash'])
    expect(lines('请勿重复支付', 90).length).toBeGreaterThan(1)
    expect(lines('Ab Wonderful', 60)).toEqual(['Ab', 'Wonderful']) // Smaller, rather than a word cut in two.
  })

  test('becomes a little smaller rather than leave one word alone', () => {
    const { typesetter } = sheet(400, 300)
    const asked = typesetter.measure('about 1 min 30 s left', 'normal', 18).widthPx
    const set = typesetter.set({ text: 'about 1 min 30 s left', weight: 'normal', px: 18, widthPx: asked - 8, linesMax: 2 })
    expect(set.lines).toHaveLength(1)
    expect(set.px).toBeLessThan(18)
  })

  test('of a dense script stays large enough to be read', () => {
    const { typesetter } = sheet(400, 300)
    expect(typesetter.set({ text: '请勿重复支付', weight: 'normal', px: 20, widthPx: 20, linesMax: 1 }).px).toBe(13)
    expect(typesetter.set({ text: 'Do not pay again', weight: 'normal', px: 20, widthPx: 20, linesMax: 1 }).px).toBe(10)
  })
})

describe('a column', () => {
  const amount = (minor: number): Block => ({ kind: 'amount', amount: { minor, currency: 'THB' }, em: 3 })
  const text = (words: string, em = 1, drop?: number): Block =>
    ({ kind: 'text', text: words, weight: 'bold', em, linesMax: 1, ...(drop === undefined ? {} : { drop }) })

  test('keeps other text at half the amount or less, however large it was asked for', () => {
    for (const minor of [100, 2_500, 15_000_000, 999_999_999]) {
      const { inkedRows, ...pen } = sheet(300, 300)
      drawColumn(pen, { box: { x: 0, y: 0, widthPx: 300, heightPx: 300 }, emPx: 24, align: 'left', blocks: [text('HHH', 9), { kind: 'space' }, amount(minor)] })
      const found = bands(inkedRows())
      const [words = 0] = found
      const digits = found.at(-1) ?? 0
      expect(words).toBeGreaterThan(5)
      expect(digits).toBeGreaterThanOrEqual(2 * words - 1) // A dot for rounding to whole dots.
    }
  })

  test('never inks outside its box', () => {
    const { context, typesetter, ink } = sheet(120, 120)
    const box = { x: 30, y: 40, widthPx: 60, heightPx: 50 }
    const parts = drawColumn({ context, typesetter }, { box, emPx: 20, align: 'left', blocks: [text('WWWWWWWW', 3), { kind: 'rule' }, amount(999_999_999), text('ชำระ', 4), text('HHH'), text('HHH'), text('HHH')] })
    expect(endOf(parts)).toBeGreaterThan(box.y + box.heightPx) // It had to be cut.
    for (let y = 0; y < 120; y++) {
      for (let x = 0; x < 120; x++) {
        if (x < 30 || x >= 90 || y < 40 || y >= 90) expect(ink(x, y), `${x},${y}`).toBe(false)
      }
    }
  })

  test('leaves out what may go before it makes the rest too small, the highest number first', () => {
    const heights = [200, 70, 55].map((heightPx) => {
      const { inkedRows, ...pen } = sheet(300, 200)
      drawColumn(pen, {
        box: { x: 0, y: 0, widthPx: 300, heightPx }, emPx: 24, align: 'left', blocks: [amount(2_500), text('HHH', 1, 1), text('HHH', 1, 2)],
      })
      return bands(inkedRows()).length
    })
    expect(heights).toEqual([3, 2, 1])
  })

  test('says when it had to be cut', () => {
    const { context, typesetter } = sheet(300, 300)
    const column = { emPx: 24, align: 'left', blocks: [text('A'), text('B'), text('C'), amount(2_500)] } as const
    expect(endOf(drawColumn({ context, typesetter }, { ...column, box: { x: 0, y: 0, widthPx: 300, heightPx: 300 } }))).toBeLessThanOrEqual(300)
    expect(endOf(drawColumn({ context, typesetter }, { ...column, box: { x: 0, y: 0, widthPx: 300, heightPx: 20 } }))).toBeGreaterThan(20)
  })

  test('leaves out a text rather than cut it short, unless a part of it says enough', () => {
    const { context, typesetter } = sheet(200, 200)
    const long = 'AAAA BBBB CCCC DDDD EEEE FFFF GGGG HHHH'
    const drawn = (mayBeCut: boolean) => drawColumn({ context, typesetter }, {
      box: { x: 0, y: 0, widthPx: 100, heightPx: 200 }, emPx: 24, align: 'left',
      blocks: [amount(2_500), { kind: 'text', text: long, weight: 'normal', em: 1, linesMax: 1, drop: 1, mayBeCut }],
    }).filter((part) => part.what === 'text')
    expect(drawn(true)).toMatchObject([{ text: long, isCut: true }])
    expect(drawn(false)).toEqual([])
  })

  test('keeps everything where it is while one text takes the place of another', () => {
    const inTurn = ['about 59 min 45 s left', 'less than 15 s left']
    const boxes = inTurn.map((now) => {
      const { context, typesetter } = sheet(160, 200)
      const time: Block = { kind: 'text', text: now, inTurn, weight: 'normal', em: 1, linesMax: 2 }
      return drawColumn({ context, typesetter }, {
        box: { x: 0, y: 0, widthPx: 110, heightPx: 200 }, emPx: 16, align: 'left', blocks: [text('HHH'), time, amount(2_500), { kind: 'space' }, text('III')],
      }).filter((part) => !('text' in part && inTurn.includes(part.text))).map(({ box }) => box)
    })
    expect(boxes[0]).toHaveLength(4)
    expect(boxes[1]).toEqual(boxes[0])
  })

  test('says where each thing stands, in boxes that hold all of its ink', () => {
    const { context, typesetter, inkedRows } = sheet(300, 300)
    const parts = drawColumn({ context, typesetter }, {
      box: { x: 10, y: 10, widthPx: 280, heightPx: 280 }, emPx: 24, align: 'centre',
      blocks: [text('HHH'), { kind: 'rule' }, { kind: 'space' }, amount(2_500), { kind: 'bar', filled: 3, of: 8 }],
    })
    expect(parts.map(({ what }) => what)).toEqual(['text', 'rule', 'currency', 'amount', 'bar'])
    inkedRows().forEach((inked, y) => {
      if (inked) expect(parts.some(({ box }) => y >= box.y && y < box.y + box.heightPx), `row ${y}`).toBe(true)
    })
  })
})
