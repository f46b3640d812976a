/**
 * What a picture costs, per panel: from a changed state to a frame whose code was read back from its packed bits, beside
 * the floor of the same run -- encode, bare draw, pack and decode by the same libraries, with no screen around the code.
 * Then what a sale costs on the glass, and memory after thousands of pictures.
 *
 *   node dist/test/panels/measure.js [--rounds 60] [--frames 10000]
 */
import { createCanvas } from 'canvas'
import { cpus, loadavg } from 'node:os'
import { setImmediate as turn } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import encodeQR from 'qr'
import { loadReader, readBack } from '../../device/qr.js'
import { createRenderer } from '../../device/render.js'
import type { View } from '../../device/view.js'
import { type Frame, type PanelSize, strideBytes } from '../../drivers/driver.js'
import { uprightSize } from '../../drivers/panel/eink-chip.js'
import { SSD16XX_MODELS } from '../../drivers/panel/ssd16xx.js'
import { UC81XX_MODELS } from '../../drivers/panel/uc81xx.js'
import { compareOnGlass } from './on-glass.js'

const EINK_MODELS: Readonly<Record<string, string>> = {
  '2.13 inch e-ink': 'waveshare-2in13-v4', '2.9 inch e-ink': 'waveshare-2in9-v2', '2.7 inch e-ink': 'waveshare-2in7-v2',
  '1.54 inch e-ink': 'waveshare-1in54-v2', '4.2 inch e-ink': 'waveshare-4in2-v2', '7.5 inch e-ink': 'waveshare-7in5-v2',
}

const PANELS: Readonly<Record<string, PanelSize>> = {
  ...Object.fromEntries(Object.entries(EINK_MODELS).map(([title, name]) => [title, sizeOf(name)])),
  '3.5 inch LCD': { widthPx: 480, heightPx: 320, pitchMm: 0.153 },
}

/** As it lies on a counter. */
function sizeOf(name: string): PanelSize {
  const model = [...SSD16XX_MODELS, ...UC81XX_MODELS].find((each) => each.name === name)
  if (model === undefined) throw new Error(`no panel ${name}`)
  return uprightSize(model, model.native.widthPx < model.native.heightPx ? 90 : 0)
}

const payloadOf = (number: number): string => `https://qr.alipayplus.com/2816660400${String(number).padStart(10, '0')}abcDEF7719XyZ`

/** Every round another sale, at another moment of it: a line that stands there already costs nothing. */
const minorOf = (number: number): number => 2_500 + 37 * number
const referenceOf = (number: number): string => (7 * 36 ** 5 + 7_919 * 36 * number).toString(36).toUpperCase()
const secondsLeftOf = (number: number): number => 15 * (1 + number % 8)

const scanToPay = (number: number): View => ({
  screen: 'scan to pay', lamps: 'waiting', payload: payloadOf(number), method: 'alipayplus_mpm', secondsLeft: secondsLeftOf(number),
  amount: { minor: minorOf(number), currency: 'THB' }, reference: referenceOf(number),
})

type Draw = (number: number) => Frame

function ours(size: PanelSize): Draw {
  const renderer = createRenderer({ size, shopName: 'Baan Kafae', language: 'th', country: 'TH', currency: 'THB', method: 'alipayplus_mpm' })
  return (number) => renderer.render(scanToPay(number))
}

/** The same code and the lines that every such screen must have; nothing is measured, fitted or chosen. */
function floor(size: PanelSize, modulePx: number): Draw {
  const canvas = createCanvas(size.widthPx, size.heightPx)
  const context = canvas.getContext('2d', { pixelFormat: 'A8' })
  return (number) => {
    context.clearRect(0, 0, size.widthPx, size.heightPx)
    const modules = encodeQR(payloadOf(number), 'raw', { ecc: 'quartile', border: 1 })
    modules.forEach((row, y) => {
      row.forEach((dark, x) => { if (dark) context.fillRect((x + 3) * modulePx, (y + 3) * modulePx, modulePx, modulePx) })
    })
    linesOf(number).forEach((text, line) => {
      context.font = `${10 + 2 * line}px "DejaVu Sans", "Loma"`
      context.fillText(text, (modules.length + 8) * modulePx, 16 * (line + 1))
    })
    return pack(canvas.toBuffer('raw'), canvas.stride, size)
  }
}

const linesOf = (number: number): readonly string[] => [
  'Baan Kafae', 'สแกนเพื่อจ่าย', 'Scan to pay', 'THB', (minorOf(number) / 100).toFixed(2), referenceOf(number), `${secondsLeftOf(number)} s`,
]

function pack(ink: Buffer, inkStride: number, { widthPx, heightPx }: PanelSize): Frame {
  const stride = strideBytes(widthPx)
  const bits = new Uint8Array(stride * heightPx)
  for (let y = 0; y < heightPx; y++) {
    for (let x = 0; x < widthPx; x++) {
      const byte = y * stride + (x >> 3)
      if ((ink[y * inkStride + x] ?? 0) > 127) bits[byte] = (bits[byte] ?? 0) | (0x80 >> (x & 7))
    }
  }
  return { widthPx, heightPx, bits }
}

/** Milliseconds until the frame is verified. */
async function time(draw: Draw, number: number): Promise<number> {
  const startedMs = performance.now()
  const frame = draw(number)
  if (await readBack(frame) !== payloadOf(number)) throw new Error('the frame does not read back')
  return performance.now() - startedMs
}

/** Until Node has compiled both. */
const WARM_UP = 30

async function comparePictures(rounds: number): Promise<void> {
  console.log(`Changed state -> packed, verified frame: medians of ${rounds}, ours and the floor in turn, milliseconds\n`)
  console.log(`${'panel'.padEnd(20)}${'ours'.padStart(8)}${'floor'.padStart(8)}${'ratio'.padStart(8)}`)
  for (const [name, size] of Object.entries(PANELS)) {
    const plan = createRenderer({ size, shopName: '-', language: 'en', country: 'TH', currency: 'THB', method: 'alipayplus_mpm' })
      .plan(payloadOf(0))
    if (!plan.fits) {
      console.log(`${name.padEnd(20)} ${plan.text}`)
      continue
    }
    const [mine, least] = [ours(size), floor(size, plan.modulePx)]
    const times: { mine: number[]; least: number[] } = { mine: [], least: [] }
    for (let round = 0; round < rounds + WARM_UP; round++) {
      const [a, b] = [await time(mine, round), await time(least, round)]
      if (round < WARM_UP) continue
      times.mine.push(a)
      times.least.push(b)
    }
    const [a, b] = [median(times.mine), median(times.least)]
    console.log(`${name.padEnd(20)}${a.toFixed(2).padStart(8)}${b.toFixed(2).padStart(8)}${(a / b).toFixed(2).padStart(8)}`)
  }
}

async function measureMemory(frames: number): Promise<void> {
  const draw = ours(sizeOf('waveshare-7in5-v2'))
  const before = process.memoryUsage().rss
  let peak = before
  for (let frame = 0; frame < frames; frame++) {
    draw(frame)
    if (frame % 10 === 0) {
      await turn() // As between two events of a terminal: what canvas has let go of is freed.
      peak = Math.max(peak, process.memoryUsage().rss)
    }
  }
  const megabytes = (bytes: number): string => (bytes / 1_048_576).toFixed(0)
  console.log(`\nmemory over ${frames} frames of 800 x 480: ${megabytes(before)} MB before, ${megabytes(peak)} MB at most, ` +
    `${megabytes(process.memoryUsage().rss)} MB after`)
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? NaN
}

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '60' }, frames: { type: 'string', default: '10000' } } })
console.log(`${cpus().length} processors, load ${loadavg()[0]?.toFixed(1)}\n`)
await loadReader()
await comparePictures(Number(values.rounds))
await compareOnGlass()
await measureMemory(Number(values.frames))
