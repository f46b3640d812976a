/**
 * View and panel -> the bits of one picture. Draws with canvas, then keeps one bit a dot; decides nothing about a sale.
 * A code appears on 'scan to pay' only, as whole squares of whole dots, and nothing is drawn over it.
 */
import { createCanvas, type CanvasRenderingContext2D } from 'canvas'
import { type Frame, type PanelSize, strideBytes } from '../drivers/driver.js'
import { drawFigure, type Figure } from './figures.js'
import { type Block, type Box, drawColumn, type Pen } from './layout.js'
import { amountFromDigits, type Currency, formatAmount } from './protocol/money.js'
import { type Country, PAYMENT_METHODS, type PaymentMethodName } from './protocol/payment-method.js'
import { NEEDS_ATTENTION } from './protocol/wire.js'
import { type CodePlan, type CodeRefusal, planCode, type Reading, verifyFrame } from './qr.js'
import type { NotReady, Refusal } from './sale.js'
import { createTypesetter } from './typeset.js'
import { COUNTDOWN_MS, type Screen, type View } from './view.js'
import { type Language, type Message, unpaidMessage, type Words, WORDS } from './words.js'

/** What does not change while the terminal runs; the site's part of the configuration has this shape. */
export interface Shop {
  readonly shopName: string
  readonly language: Language
  readonly country: Country
  readonly currency: Currency
  readonly method: PaymentMethodName
}

export interface RendererOptions extends Shop {
  readonly size: PanelSize
}

export interface Renderer {
  /** A new frame each time: the caller may keep it. */
  render(view: View): Frame
  /** All white: what a panel shows before anything is known, so that no old code stays payable. */
  blank(): Frame
  /** Reads the frame as a wallet would: what it finds in the very bits that go to the panel, beside what was offered. */
  readBack(frame: Frame, payload: string): Promise<Reading>
  /** How this payload would stand on this panel, or why it cannot. What `render` draws. */
  plan(payload: string): CodePlan | CodeRefusal
}

/** All white: what a panel shows before anything is known, so that no old code stays payable. */
export function blankFrame({ widthPx, heightPx }: PanelSize): Frame {
  return { widthPx, heightPx, bits: new Uint8Array(strideBytes(widthPx) * heightPx) }
}

export function createRenderer({ size, ...shop }: RendererOptions): Renderer {
  // One canvas for good: a new one a frame costs twice the time and half as much memory again (B3 of the panel notes).
  const canvas = createCanvas(size.widthPx, size.heightPx)
  const context = canvas.getContext('2d', { pixelFormat: 'A8' })
  const pen: Pen = { context, typesetter: createTypesetter(context) }
  const shape = shapeOf(size)
  let last: { readonly payload: string; readonly plan: CodePlan | CodeRefusal } | undefined // A countdown redraws one code many times.
  const plan = (payload: string) => {
    if (last?.payload !== payload) last = { payload, plan: planOn(shape, size, payload) }
    return last.plan
  }

  return {
    plan,
    blank: () => blankFrame(size),
    readBack: verifyFrame,
    render(view) {
      context.clearRect(0, 0, size.widthPx, size.heightPx)
      drawScreen(pen, shape, shop, view, plan)
      return pack(canvas.toBuffer('raw'), canvas.stride, size)
    },
  }
}

/** A payload that cannot stand on this panel leaves a screen without a code, which does not verify: the sale is closed. */
function drawScreen(pen: Pen, shape: Shape, shop: Shop, view: View, plan: Renderer['plan']): void {
  if (view.screen === 'scan to pay') {
    const code = plan(view.payload)
    if (code.fits) {
      drawCodeScreen(pen, shape, shop, view, code)
      return
    }
  }
  drawMessageScreen(pen, shape, shop, view)
}

interface Shape {
  readonly widthPx: number
  readonly heightPx: number
  readonly landscape: boolean
  readonly marginPx: number
  readonly emPx: number
}

function shapeOf({ widthPx, heightPx }: PanelSize): Shape {
  return {
    widthPx, heightPx, landscape: widthPx >= 1.2 * heightPx,
    marginPx: Math.max(4, Math.round(Math.min(widthPx, heightPx) * 0.045)),
    emPx: Math.max(11, Math.round(Math.sqrt(widthPx * heightPx) * 0.062)),
  }
}

/** The code gets the whole short side, but leaves the text its share of the long one; only a dense code takes more. */
const CODE_SHARES = [0.62, 0.75]

function planOn(shape: Shape, { pitchMm }: PanelSize, payload: string): CodePlan | CodeRefusal {
  const { widthPx, heightPx, landscape } = shape
  for (const share of CODE_SHARES) {
    const box = landscape ? { widthPx: Math.floor(widthPx * share), heightPx } : { widthPx, heightPx: Math.floor(heightPx * share) }
    const plan = planCode(payload, box, pitchMm)
    if (plan.fits) return plan
  }
  return planCode(payload, shape, pitchMm)
}

function drawCodeScreen(pen: Pen, shape: Shape, shop: Shop, view: Extract<View, { screen: 'scan to pay' }>, plan: CodePlan): void {
  const { widthPx, heightPx, marginPx, landscape } = shape
  const across = landscape ? heightPx : widthPx
  const edge = Math.floor((across - plan.outerPx) / 2)
  const near = Math.min(edge, Math.round(marginPx / 2)) // Towards the panel's edge, where the bezel adds to the quiet zone.
  const [x, y] = landscape ? [near, edge] : [edge, near]
  const quietPx = plan.quietModules * plan.modulePx
  drawModules(pen.context, plan, x + quietPx, y + quietPx)

  // Words keep four modules away on every panel, also where the bezel allows the code a narrower quiet zone.
  const used = near + quietPx + plan.symbolPx + Math.max(4 * plan.modulePx, marginPx)
  const box: Box = landscape
    ? { x: used, y: marginPx, widthPx: widthPx - used - marginPx, heightPx: heightPx - 2 * marginPx }
    : { x: marginPx, y: used, widthPx: widthPx - 2 * marginPx, heightPx: heightPx - used - marginPx }
  drawColumn(pen, { box, emPx: shape.emPx, align: landscape ? 'left' : 'centre', blocks: codeBlocks(view, shop, shape) })
}

/** Dark runs of a row as one rectangle. */
function drawModules(context: CanvasRenderingContext2D, { modules, modulePx }: CodePlan, x: number, y: number): void {
  modules.forEach((row, j) => {
    let start = 0
    while (start < row.length) {
      let end = start + 1
      while (end < row.length && row[end] === row[start]) end++
      if (row[start] === true) context.fillRect(x + start * modulePx, y + j * modulePx, (end - start) * modulePx, modulePx)
      start = end
    }
  })
}

const BAR_CELLS = 8

function codeBlocks(view: Extract<View, { screen: 'scan to pay' }>, shop: Shop, shape: Shape): readonly Block[] {
  const words = WORDS[shop.language]
  const method = PAYMENT_METHODS[view.method]
  const wallets = (method.wallets[shop.country] ?? []).filter((wallet) => wallet !== method.title)
  const cells = Math.min(BAR_CELLS, Math.round(view.secondsLeft * 1000 / COUNTDOWN_MS))
  return [
    ...headBlocks(shop, shape),
    { kind: 'space' },
    { kind: 'text', text: words.scanToPay, weight: 'bold', em: 1.35, linesMax: 2 },
    ...inEnglish(shop, WORDS.en.scanToPay),
    { kind: 'space' },
    { kind: 'amount', amount: view.amount, em: 3.2 },
    { kind: 'space' },
    { kind: 'bar', filled: cells, of: BAR_CELLS, drop: 2 },
    { kind: 'text', text: words.timeLeft(view.secondsLeft), weight: 'normal', em: 0.85, linesMax: 2, drop: 3 },
    { kind: 'space' },
    { kind: 'text', text: method.title, weight: 'bold', em: 0.8, linesMax: 1, drop: 4 },
    ...(wallets.length === 0 ? [] : [
      { kind: 'text', text: wallets.map(unbroken).join(', '), weight: 'normal', em: 0.65, linesMax: 3, drop: 5 } as const,
    ]),
    { kind: 'space' },
    referenceBlock(words, view.reference),
  ]
}

function drawMessageScreen(pen: Pen, shape: Shape, shop: Shop, view: View): void {
  const { widthPx, heightPx, marginPx, landscape } = shape
  const side = Math.round(landscape ? Math.min(0.24 * widthPx, 0.55 * heightPx) : Math.min(0.4 * widthPx, 0.24 * heightPx))
  const [x, y] = landscape ? [2 * marginPx, (heightPx - side) / 2] : [(widthPx - side) / 2, 2 * marginPx]
  drawFigure(pen.context, FIGURES[view.screen], Math.round(x), Math.round(y), side)

  const used = side + 4 * marginPx
  const box: Box = landscape
    ? { x: used, y: marginPx, widthPx: widthPx - used - marginPx, heightPx: heightPx - 2 * marginPx }
    : { x: marginPx, y: used, widthPx: widthPx - 2 * marginPx, heightPx: heightPx - used - marginPx }
  drawColumn(pen, { box, emPx: shape.emPx, align: landscape ? 'left' : 'centre', blocks: messageBlocks(view, shop, shape) })
}

const FIGURES: Readonly<Record<Screen['screen'], Figure>> = {
  'starting': 'dots',
  'enter amount': 'keypad',
  'refused': 'bang',
  'please wait': 'dots',
  'scan to pay': 'dots', // Only when the code does not fit this panel: the sale is being closed.
  'checking': 'clock',
  'paid': 'tick',
  'not paid': 'cross',
  'ask staff': 'bang',
  'reversed': 'return',
  'offline': 'broken link',
  'out of service': 'bar',
}

function messageBlocks(view: View, shop: Shop, shape: Shape): readonly Block[] {
  const words = WORDS[shop.language]
  const message = messageOf(view, words, shop)
  const english = messageOf(view, WORDS.en, shop)
  return [
    ...headBlocks(shop, shape),
    { kind: 'space' },
    { kind: 'text', text: message.headline, weight: 'bold', em: 1.55, linesMax: 3 },
    ...(message.detail === '' ? [] : [{ kind: 'text', text: message.detail, weight: 'bold', em: 1.15, linesMax: 2 } as const]),
    ...inEnglish(shop, [english.headline, english.detail].filter((part) => part !== '').join('. ')),
    { kind: 'space' },
    ...footBlocks(view, words, shop),
  ]
}

/** Who asks for the money. On a small panel one line of it must do. */
const headBlocks = (shop: Shop, { emPx }: Shape): readonly Block[] => [
  { kind: 'text', text: shop.shopName, weight: 'normal', em: 0.9, linesMax: emPx < 16 ? 1 : 2, drop: 1 },
  { kind: 'rule', drop: 1 },
]

/** English stands second, unless it already stood first. */
function inEnglish(shop: Shop, text: string): readonly Block[] {
  return shop.language === 'en' ? [] : [{ kind: 'text', text, weight: 'normal', em: 0.9, linesMax: 3 }]
}

/** Names and amounts that no line's end may part: with no-break spaces. */
const unbroken = (text: string): string => text.replaceAll(' ', '\u00a0')

const referenceBlock = (words: Words, reference: string): Block =>
  ({ kind: 'text', text: `${words.reference} ${reference}`, weight: 'normal', em: 0.85, linesMax: 1 })

function messageOf(view: Screen, words: Words, shop: Shop): Message {
  switch (view.screen) {
    case 'starting':       return words.starting
    case 'enter amount':   return { headline: words.enterAmount, detail: view.digits === '' ? '' : words.pressOk }
    case 'refused':        return refusalMessage(view.refusal, words, shop)
    case 'please wait':    return words.pleaseWait
    case 'scan to pay':    return words.pleaseWait
    case 'checking':       return words.checking
    case 'paid':           return words.paid
    case 'not paid':       return unpaidMessage(words, view.reason)
    case 'ask staff':      return unpaidMessage(words, NEEDS_ATTENTION)
    case 'reversed':       return view.voided ? words.reversed.voided : words.reversed.refunded
    case 'offline':        return words.offline
    case 'out of service': return words.outOfService
  }
}

function refusalMessage(refusal: Refusal, words: Words, shop: Shop): Message {
  const limits = PAYMENT_METHODS[shop.method].limits[shop.currency]
  const bound = (minor: number | undefined) => (minor === undefined ? '' : unbroken(formatAmount({ minor, currency: shop.currency })))
  switch (refusal.reason) {
    case 'amount too small':       return words.amountTooSmall(bound(limits?.minMinor))
    case 'amount too large':       return words.amountTooLarge(bound(limits?.maxMinor))
    case 'currency not supported': return words.currencyNotSupported
    case 'not an amount':          return words.notAnAmount
    case 'busy':                   return words.busy
    case 'not ready':              return notReadyMessage(refusal.because, words)
  }
}

function notReadyMessage(because: NotReady, words: Words): Message {
  switch (because) {
    case 'link down':
    case 'no charging':   return words.offline
    case 'starting':      return words.starting
    case 'panel fault':
    case 'journal fault': return words.outOfService
  }
}

function footBlocks(view: Screen, words: Words, shop: Shop): readonly Block[] {
  switch (view.screen) {
    case 'enter amount': {
      const amount = amountFromDigits(view.digits, shop.currency) ?? { minor: 0, currency: shop.currency }
      return [{ kind: 'amount', amount, em: 3.6 }, { kind: 'space' }]
    }
    case 'please wait':
    case 'scan to pay':
    case 'checking':
    case 'paid':
    case 'not paid':
    case 'ask staff':
    case 'reversed':
      return [{ kind: 'amount', amount: view.amount, em: 3.2 }, { kind: 'space' }, referenceBlock(words, view.reference)]
    case 'out of service':
      return [{ kind: 'text', text: view.fault, weight: 'normal', em: 0.75, linesMax: 1 }]
    case 'starting':
    case 'refused':
    case 'offline':
      return []
  }
}

/** Under this much ink a dot stays white: a little below half, so that thin strokes of Thai do not break. */
const INK_MIN = 104

function pack(ink: Buffer, inkStride: number, { widthPx, heightPx }: PanelSize): Frame {
  const stride = strideBytes(widthPx)
  const bits = new Uint8Array(stride * heightPx)
  for (let y = 0; y < heightPx; y++) {
    for (let i = 0; i < stride; i++) {
      const from = y * inkStride + 8 * i
      const dots = Math.min(8, widthPx - 8 * i)
      let byte = 0
      for (let x = 0; x < dots; x++) if ((ink[from + x] ?? 0) >= INK_MIN) byte |= 0x80 >> x
      bits[y * stride + i] = byte
    }
  }
  return { widthPx, heightPx, bits }
}
