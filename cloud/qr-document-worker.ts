/**
 * The inside of the code reader: a thread that turns the image of a code into its text. Images come from outside, so it
 * runs apart: it may be stopped at any moment, and after anything unexpected it asks to be replaced.
 * Two WebAssembly decoders, loaded from their packages' files; no network, no native code, nothing is written.
 */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { parentPort } from 'node:worker_threads'
import { initWasm, Resvg } from '@resvg/resvg-wasm'
import { prepareZXingModule, readBarcodes, type ReadResult } from 'zxing-wasm/reader'
import type { CodeJob, CodeNews, CodeReading } from './qr-document.js'
import { type CleanSvg, cleanPng, cleanSvg, IMAGE_BYTES_MAX, pictureOf, type Refusal, sniff } from './svg-gate.js'

/** A code's text: printable ASCII, as an Alipay+ address or EMVCo text is (reliability.md, section 8, row 20). */
const PAYLOAD = /^[\x20-\x7e]{1,512}$/

/** Longest side of the picture that is searched: the first try is quick, the second for codes of very small modules. */
const SIDES_PX = [400, 1200] as const

/** White around the picture, in parts of its longer side: not every picture brings the quiet zone a decoder wants. */
const MARGIN_PARTS = 12

async function loadDecoders(): Promise<void> {
  const { resolve } = createRequire(import.meta.url)
  await initWasm(readFile(resolve('@resvg/resvg-wasm/index_bg.wasm')))
  const wasmBinary = new Uint8Array(await readFile(resolve('zxing-wasm/reader/zxing_reader.wasm')))
  await prepareZXingModule({ overrides: { wasmBinary: wasmBinary.buffer }, fireImmediately: true })
}

async function readCode(image: Uint8Array): Promise<CodeReading> {
  const picture = pictureIn(image)
  if ('unreadable' in picture) return picture
  for (const sidePx of SIDES_PX) {
    const found = await search(picture, sidePx)
    if (found.length > 0) return payloadOf(found)
  }
  return { unreadable: 'no code found', text: `nothing in a picture of ${picture.width} x ${picture.height}` }
}

function pictureIn(image: Uint8Array): CleanSvg | Refusal {
  if (image.byteLength === 0) return { unreadable: 'empty', text: 'no bytes' }
  if (image.byteLength > IMAGE_BYTES_MAX) return { unreadable: 'too large', text: `${image.byteLength} bytes` }
  switch (sniff(image)) {
    case undefined: return { unreadable: 'not an image', text: 'neither PNG nor SVG' }
    case 'SVG': return cleanSvg(image)
    case 'PNG': {
      const png = cleanPng(image)
      return 'unreadable' in png ? png : pictureOf(png)
    }
  }
}

/** Draws on white, a whole number of dots to a unit wherever that fits, and looks for codes. */
async function search(picture: CleanSvg, sidePxMax: number): Promise<readonly ReadResult[]> {
  const side = Math.max(picture.width, picture.height)
  const scale = side <= sidePxMax ? Math.floor(sidePxMax / side) : 1 / Math.ceil(side / sidePxMax)
  const widthPx = Math.max(1, Math.round(picture.width * scale))
  const heightPx = Math.max(1, Math.round(picture.height * scale))
  const marginPx = Math.ceil((side * scale) / MARGIN_PARTS)
  const page = `width="${widthPx + 2 * marginPx}" height="${heightPx + 2 * marginPx}"`
  const place = `translate(${marginPx} ${marginPx}) scale(${scale})`
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" ${page}><g transform="${place}">${picture.body}</g></svg>`

  const renderer = new Resvg(svg, { background: 'white', font: { fontBuffers: [] } })
  const drawing = renderer.render()
  const { width, height, pixels } = drawing
  drawing.free()
  renderer.free()
  const data = new Uint8ClampedArray(pixels.buffer, pixels.byteOffset, pixels.byteLength)
  whitenMargin(data, width, height, marginPx)
  return readBarcodes({ data, width, height, colorSpace: 'srgb' }, {
    formats: ['QRCode'],
    // White on black is no code a wallet is sure to read.
    tryInvert: false,
    // Enough to see that there is more than one.
    maxNumberOfSymbols: 4,
  })
}

/** Cuts off what was drawn outside of the picture. A clip in the SVG does the same at several times the cost. */
function whitenMargin(rgba: Uint8ClampedArray, widthPx: number, heightPx: number, marginPx: number): void {
  const row = widthPx * 4
  const margin = marginPx * 4
  rgba.fill(255, 0, marginPx * row + margin)
  for (let y = marginPx; y < heightPx - marginPx; y += 1) rgba.fill(255, (y + 1) * row - margin, (y + 1) * row + margin)
  rgba.fill(255, (heightPx - marginPx) * row)
}

function payloadOf(found: readonly ReadResult[]): CodeReading {
  const [code, ...others] = found
  if (code === undefined || others.length > 0) return { unreadable: 'more than one code', text: `${found.length} codes` }
  if (code.sequenceSize > 0) return { unreadable: 'payload not allowed', text: 'a part of a code in several parts' }
  // By the bytes: a decoder's guess of a character set must not change what is paid.
  const payload = Buffer.from(code.bytes).toString('latin1')
  if (!PAYLOAD.test(payload)) return { unreadable: 'payload not allowed', text: `${code.bytes.byteLength} bytes` }
  return { payload }
}

async function work(job: CodeJob): Promise<CodeNews> {
  try {
    return { news: 'done', job: job.job, reading: await readCode(job.image), reusable: true }
  } catch {
    // A decoder that trapped has an undefined inside: its answer is no answer, and this thread has ended.
    const reading: CodeReading = { unreadable: 'reader broken', text: 'a decoder gave up on the image' }
    return { news: 'done', job: job.job, reading, reusable: false }
  }
}

const port = parentPort
if (port === null) throw new Error('the code reader runs as a worker thread only')
const say = (news: CodeNews): void => { port.postMessage(news) }

await loadDecoders()
port.on('message', (job: CodeJob) => { void work(job).then(say) })
say({ news: 'ready' })
