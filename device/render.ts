/**
 * View and panel -> the bits of one picture. Words and figures are drawn with canvas, of which one bit a dot is kept; codes
 * are put onto those bits. Decides nothing about a sale. An offer's code appears on 'scan to pay' only, as whole squares of
 * whole dots, and nothing is drawn over it.
 */
import { createCanvas } from 'canvas'
import { type Frame, type PanelSize, strideBytes } from '../drivers/driver.js'
import { drawFigure, type Figure } from './figures.js'
import { type Block, type Box, type Column, drawColumn, drawStandingBar, keptIn, type Part, type Pen, type TextBlock } from './layout.js'
import { type Amount, amountFromKeys, type Currency, formatAmount } from './protocol/money.js'
import { type Country, PAYMENT_METHODS, type PaymentMethodName } from './protocol/payment-method.js'
import { NEEDS_ATTENTION } from './protocol/wire.js'
import { type CodePlan, type CodeRefusal, planCode, type Reading, stampCode, verifyFrame } from './qr.js'
import type { NotReady, Refusal } from './sale.js'
import { createTypesetter } from './typeset.js'
import { COUNTDOWN_MS, FAULT_CODES, type Screen, type View } from './view.js'
import { type Language, type Message, unpaidMessage, type Words, WORDS } from './words.js'

/** What does not change while the terminal runs; the site's part of the configuration has this shape. */
export interface Shop {
  readonly shopName: string
  readonly language: Language
  readonly country: Country
  readonly currency: Currency
  readonly method: PaymentMethodName
  /** Whether amounts are typed here, as they are unless this says otherwise; else a register or a machine asks for them. */
  readonly keypad?: boolean
}

export interface RendererOptions extends Shop {
  readonly size: PanelSize
  /** What stands in the middle of every code that has room for it. */
  readonly mark?: Frame | undefined
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
  /** The same without the mark, for a code that does not read back with it; undefined where there is no mark. */
  readonly unmarked?: Renderer
}

/** A picture, and what stands where in it: for whoever checks that it can be read. */
export interface Picture {
  readonly frame: Frame
  readonly parts: readonly Part[]
}

export interface Painter extends Renderer {
  paint(view: View): Picture
}

/** All white: what a panel shows before anything is known, so that no old code stays payable. */
export function blankFrame({ widthPx, heightPx }: PanelSize): Frame {
  return { widthPx, heightPx, bits: new Uint8Array(strideBytes(widthPx) * heightPx) }
}

export function createRenderer({ size, mark, ...shop }: RendererOptions): Painter {
  // One canvas for good: a new one a frame costs twice the time and half as much memory again (B3 of the panel notes).
  const canvas = createCanvas(size.widthPx, size.heightPx)
  const context = canvas.getContext('2d', { pixelFormat: 'A8' })
  const pen: Pen = { context, typesetter: createTypesetter(context) }
  const shape = shapeOf(size)
  let last: { readonly payload: string; readonly plan: CodePlan | CodeRefusal } | undefined // A countdown redraws one code many times.
  const plan = (payload: string) => {
    if (last?.payload !== payload) last = { payload, plan: planBeside(planOn(shape, size, payload, mark), payload) }
    return last.plan
  }
  const told = new Map<number, number>() // By the side of the code: words are measured once for each of its few sizes.
  const linesBeside = (code: CodePlan): number => {
    const lines = told.get(code.outerPx) ?? linesToldBeside(pen, shape, shop, code)
    told.set(code.outerPx, lines)
    return lines
  }
  /** On a standing panel a code as wide as the panel may leave too little below for time and English: then it is smaller. */
  const planBeside = (wide: CodePlan | CodeRefusal, payload: string): CodePlan | CodeRefusal => {
    if (!wide.fits || !isStanding(shape)) return wide
    const narrower = NARROWER.map((share) => planCode(payload, { widthPx: size.widthPx, heightPx: Math.floor(size.heightPx * share) }, size.pitchMm, mark))
    return narrower.reduce<CodePlan>((best, plan) => {
      const isEasy = plan.fits && plan.quietModules === 4 && plan.scan.moduleMm >= EASY_MODULE_MM && plan.outerPx < best.outerPx
      return isEasy && linesBeside(plan) > linesBeside(best) ? plan : best
    }, wide)
  }
  const paint = (view: View): Picture => {
    context.clearRect(0, 0, size.widthPx, size.heightPx)
    const parts = drawScreen(pen, { shape, size, shop, plan }, view)
    const frame = pack(canvas.toBuffer('raw'), canvas.stride, size)
    for (const part of parts) if (part.what === 'code') stampCode(frame, part.plan, part.box.x, part.box.y)
    return { frame, parts }
  }

  return {
    plan,
    paint,
    blank: () => blankFrame(size),
    readBack: verifyFrame,
    render: (view) => paint(view).frame,
    ...(mark === undefined ? {} : { unmarked: createRenderer({ size, ...shop }) }),
  }
}

interface Place {
  readonly shape: Shape
  readonly size: PanelSize
  readonly shop: Shop
  readonly plan: Renderer['plan']
}

/** A payload that cannot stand on this panel leaves a screen without a code, which does not verify: the sale is closed. */
function drawScreen(pen: Pen, { shape, size, shop, plan }: Place, view: View): readonly Part[] {
  if (view.screen === 'scan to pay') {
    const code = plan(view.payload)
    if (code.fits) return drawCodeScreen(pen, shape, shop, view, code)
  }
  if (view.screen === 'set up') {
    const codes = SET_UP_SHARES.map((share) => planCode(view.address, setUpRoom(shape, share), size.pitchMm)).filter((code) => code.fits)
    const code = codes.find(({ quietModules }) => quietModules === 4) ?? codes[0]
    if (code !== undefined) return drawSetUpScreen(pen, shape, shop, view, code)
  }
  return drawMessageScreen(pen, shape, shop, view)
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

const isStanding = ({ widthPx, heightPx }: Shape): boolean => heightPx >= 1.2 * widthPx

const isSquare = (shape: Shape): boolean => !shape.landscape && !isStanding(shape)

/** The code gets the whole short side, but leaves the text its share of the long one; only a dense code takes more. */
const CODE_SHARES = [0.62, 0.75]

const NARROWER = [0.56, 0.5]
/** Smaller than this a code is not made for the sake of words. */
const EASY_MODULE_MM = 0.45

function planOn(shape: Shape, { pitchMm }: PanelSize, payload: string, mark: Frame | undefined): CodePlan | CodeRefusal {
  const { widthPx, heightPx, landscape } = shape
  let narrow: CodePlan | undefined // With less white round it than it should have: only where no share gives it all.
  for (const share of CODE_SHARES) {
    const box = landscape ? { widthPx: Math.floor(widthPx * share), heightPx } : { widthPx, heightPx: Math.floor(heightPx * share) }
    const plan = planCode(payload, box, pitchMm, mark)
    if (plan.fits && plan.quietModules === 4) return plan
    if (plan.fits) narrow ??= plan
  }
  return narrow ?? planCode(payload, shape, pitchMm, mark)
}

type ScanView = Extract<View, { screen: 'scan to pay' }>

function drawCodeScreen(pen: Pen, shape: Shape, shop: Shop, view: ScanView, plan: CodePlan): readonly Part[] {
  const { box: code, sideBar } = placeCode(shape, plan)
  const bar = sideBar === undefined ? [] : [drawStandingBar(pen, sideBar, cellsLeft(view), BAR_CELLS)]
  return [{ what: 'code', plan, box: code }, ...bar, ...drawColumn(pen, columnBeside(shape, shop, view, plan))]
}

/** Of the droppable lines beside such a code, how many are told: for a short amount and for a long one, the fewer. */
function linesToldBeside(pen: Pen, shape: Shape, shop: Shop, plan: CodePlan): number {
  const { method, currency } = shop
  const { minMinor = 0, maxMinor = 0 } = PAYMENT_METHODS[method].limits[currency] ?? {}
  return Math.min(...[minMinor, maxMinor].map((minor) => {
    const amount = { minor, currency }
    const view: ScanView = { screen: 'scan to pay', lamps: 'waiting', payload: '', method, secondsLeft: 60, amount, reference: 'WWWWWW' }
    return keptIn(pen, columnBeside(shape, shop, view, plan)).filter((block) => 'drop' in block && (block.drop ?? 0) <= DROP.time).length
  }))
}

/** Where the symbol stands, without its quiet zone; and on a square panel, where a bar beside it has room. */
function placeCode(shape: Shape, plan: CodePlan): { readonly box: Box; readonly nearPx: number; readonly sideBar: Box | undefined } {
  const { widthPx, heightPx, marginPx, landscape } = shape
  const across = landscape ? heightPx : widthPx
  const edge = Math.floor((across - plan.outerPx) / 2)
  const near = Math.min(edge, Math.round(marginPx / 2)) // Towards the panel's edge, where the bezel adds to the quiet zone.
  const [x, y] = landscape ? [near, edge] : [edge, near]
  const quietPx = plan.quietModules * plan.modulePx
  const symbol: Box = { x: x + quietPx, y: y + quietPx, widthPx: plan.symbolPx, heightPx: plan.symbolPx }
  return { box: symbol, nearPx: near, sideBar: isSquare(shape) ? sideBarOf(shape, symbol, plan) : undefined }
}

/** Right of the code, as far from it as it asks for; undefined where that leaves too little. */
function sideBarOf({ widthPx, marginPx }: Shape, symbol: Box, { modulePx }: CodePlan): Box | undefined {
  const from = symbol.x + symbol.widthPx + 4 * modulePx
  const room = widthPx - marginPx - from
  const barPx = Math.min(Math.round(0.04 * widthPx), room)
  return barPx < 5 ? undefined : { x: from + Math.floor((room - barPx) / 2), y: symbol.y, widthPx: barPx, heightPx: symbol.heightPx }
}

/** What is told beside the code, or below it. */
function columnBeside(shape: Shape, shop: Shop, view: ScanView, plan: CodePlan): Column {
  const { widthPx, heightPx, marginPx, landscape } = shape
  const { nearPx: near, sideBar } = placeCode(shape, plan)
  const quietPx = plan.quietModules * plan.modulePx
  // Words keep four modules away on every panel, also where the bezel allows the code a narrower quiet zone.
  const used = near + quietPx + plan.symbolPx + Math.max(4 * plan.modulePx, marginPx)
  const box: Box = landscape
    ? { x: used, y: marginPx, widthPx: widthPx - used - marginPx, heightPx: heightPx - 2 * marginPx }
    : { x: marginPx, y: used, widthPx: widthPx - 2 * marginPx, heightPx: heightPx - used - marginPx }
  const blocks = codeBlocks(view, shop, shape).filter((block) => sideBar === undefined || block.kind !== 'bar')
  return { box, emPx: shape.emPx, align: landscape ? 'left' : 'centre', blocks }
}

const BAR_CELLS = 8

/** The widest times a countdown passes through, with room for which nothing moves as it runs. */
const TIMES_LEFT = [15, 59 * 60 + 45]

/** What goes first where there is no room, the highest number: the bar last of all. The shop's name is of every screen. */
const DROP = { bar: 1, shop: 2, english: 3, title: 4, time: 5, wallets: 6, cancel: 7, reference: 8 }

const cellsLeft = ({ secondsLeft }: ScanView): number => Math.min(BAR_CELLS, Math.round(secondsLeft * 1000 / COUNTDOWN_MS))

function codeBlocks(view: ScanView, shop: Shop, shape: Shape): readonly Block[] {
  const words = WORDS[shop.language]
  const { title } = PAYMENT_METHODS[view.method]
  const wallets = walletsOf(view.method, shop.country)
  const timeLeft = (seconds: number) => words.timeLeft(seconds).replace(/(?<=[0-9]) /g, NO_BREAK_SPACE)
  return [
    ...headBlocks(shop, shape),
    { kind: 'space' },
    { kind: 'text', text: words.scanToPay, weight: 'bold', em: 1.7, underAmount: HEADLINE_UNDER_AMOUNT, linesMax: 2 },
    ...inEnglish(shop, WORDS.en.scanToPay).map((block) => ({ ...block, drop: DROP.english })),
    { kind: 'space' },
    { kind: 'amount', amount: view.amount, em: 3.2 },
    { kind: 'space' },
    { kind: 'bar', filled: cellsLeft(view), of: BAR_CELLS, drop: DROP.bar },
    { kind: 'text', text: timeLeft(view.secondsLeft), inTurn: TIMES_LEFT.map(timeLeft), weight: 'normal', em: 0.85, linesMax: 2, drop: DROP.time },
    { kind: 'space' },
    { kind: 'text', text: title, weight: 'bold', em: 0.8, linesMax: 1, drop: DROP.title },
    ...(wallets === '' ? [] : [{ kind: 'text', text: wallets, weight: 'normal', em: 0.65, linesMax: 4, drop: DROP.wallets } as const]),
    { kind: 'space' },
    ...(shop.keypad === false ? [] : [{ kind: 'text', text: words.pressCancel, weight: 'normal', em: 0.75, linesMax: 1, drop: DROP.cancel } as const]),
    { ...referenceBlock(words, view.reference), drop: DROP.reference }, // On every ending it stays.
  ]
}

/** What customers of this country may pay with, besides the method's own name; '' when that says it all. */
function walletsOf(name: PaymentMethodName, country: Country): string {
  const { title, wallets } = PAYMENT_METHODS[name]
  return (wallets[country] ?? []).filter((wallet) => wallet !== title).map(unbroken).join(', ')
}

function drawMessageScreen(pen: Pen, shape: Shape, shop: Shop, view: View): readonly Part[] {
  const { widthPx, heightPx, marginPx, landscape } = shape
  const side = Math.round(landscape ? Math.min(0.22 * widthPx, 0.55 * heightPx) : Math.min(0.4 * widthPx, 0.24 * heightPx))
  const airPx = Math.round(landscape ? 1.5 * marginPx : marginPx)
  const [x, y] = landscape ? [airPx, (heightPx - side) / 2] : [(widthPx - side) / 2, airPx]
  const square: Box = { x: Math.round(x), y: Math.round(y), widthPx: side, heightPx: side }
  drawFigure(pen.context, isReady(view, shop) ? 'phone' : FIGURES[view.screen], square.x, square.y, side)

  const used = side + 2 * airPx
  const box: Box = landscape
    ? { x: used, y: marginPx, widthPx: widthPx - used - marginPx, heightPx: heightPx - 2 * marginPx }
    : { x: marginPx, y: used, widthPx: widthPx - 2 * marginPx, heightPx: heightPx - used - marginPx }
  const column = drawColumn(pen, { box, emPx: shape.emPx, align: landscape ? 'left' : 'centre', blocks: messageBlocks(view, shop, shape) })
  return [{ what: 'figure', box: square }, ...column]
}

/** Of the long side, for the frame of set-up; more only where a code would not fit otherwise. */
const SET_UP_SHARES = [0.58, 0.75]

/** What the frame, its title and the margins leave for the code of an address. */
function setUpRoom(shape: Shape, share: number): Box {
  const { widthPx, heightPx, marginPx, landscape } = shape
  const { edgePx, titlePx } = setUpFrame(shape)
  const acrossPx = landscape ? Math.min(heightPx - 2 * marginPx - titlePx, Math.floor(share * widthPx)) : Math.min(widthPx - 2 * marginPx, Math.floor(share * heightPx) - titlePx)
  const side = acrossPx - 2 * edgePx
  return { x: marginPx + edgePx, y: marginPx + titlePx, widthPx: side, heightPx: side }
}

const setUpFrame = ({ emPx }: Shape) => ({ edgePx: Math.max(3, Math.round(emPx / 5)), titlePx: Math.max(24, Math.round(1.8 * emPx)) })

/** In a thick frame under a title in white on black, as no offer's code is: nobody shall think that it asks for money. */
function drawSetUpScreen(pen: Pen, shape: Shape, shop: Shop, view: Extract<View, { screen: 'set up' }>, plan: CodePlan): readonly Part[] {
  const { widthPx, heightPx, marginPx, landscape, emPx } = shape
  const { edgePx, titlePx } = setUpFrame(shape)
  const words = WORDS[shop.language]
  const outer = { widthPx: plan.outerPx + 2 * edgePx, heightPx: plan.outerPx + titlePx + edgePx }
  const x = landscape ? marginPx : Math.floor((widthPx - outer.widthPx) / 2)
  const y = landscape ? Math.floor((heightPx - outer.heightPx) / 2) : marginPx
  const { context } = pen
  context.fillRect(x, y, outer.widthPx, outer.heightPx)
  context.clearRect(x + edgePx, y + titlePx, plan.outerPx, plan.outerPx)
  const quietPx = plan.quietModules * plan.modulePx
  const symbol: Box = { x: x + edgePx + quietPx, y: y + titlePx + quietPx, widthPx: plan.symbolPx, heightPx: plan.symbolPx }

  context.globalCompositeOperation = 'destination-out'
  const title: Box = { x: x + edgePx, y, widthPx: plan.outerPx, heightPx: titlePx }
  const text = { kind: 'text', text: words.setUpTitle, weight: 'bold', em: 1, linesMax: 1 } as const
  const titled = drawColumn(pen, { box: title, emPx: 0.65 * titlePx, align: 'centre', blocks: [text] })
  context.globalCompositeOperation = 'source-over'

  const used = landscape ? x + outer.widthPx + 2 * marginPx : y + outer.heightPx + marginPx
  const box: Box = landscape
    ? { x: used, y: marginPx, widthPx: widthPx - used - marginPx, heightPx: heightPx - 2 * marginPx }
    : { x: marginPx, y: used, widthPx: widthPx - 2 * marginPx, heightPx: heightPx - used - marginPx }
  const blocks: readonly Block[] = [
    { kind: 'space' },
    { kind: 'text', text: words.setUp.headline, weight: 'bold', em: 1.35, linesMax: 3, drop: 1 },
    { kind: 'text', text: words.setUp.detail, weight: 'bold', em: 0.9, linesMax: 3, drop: 2 },
    ...inEnglish(shop, `${WORDS.en.setUp.headline}. ${WORDS.en.setUp.detail}`).map((block) => ({ ...block, drop: 3 })),
    { kind: 'space' },
    ...footBlocks(view, words, shop),
    { kind: 'space' },
  ]
  return [
    { what: 'frame', box: { x, y, ...outer } }, { what: 'code', plan, box: symbol }, ...titled,
    ...drawColumn(pen, { box, emPx, align: landscape ? 'left' : 'centre', blocks }),
  ]
}

/** Nothing to type: it says where one is, and how one can pay here. */
const isReady = (view: Screen, { keypad = true }: Shop): boolean => view.screen === 'enter amount' && !keypad

const FIGURES: Readonly<Record<Screen['screen'], Figure>> = {
  'starting': 'dots',
  'enter amount': 'keypad',
  'confirm amount': 'bang',
  'refused': 'bang',
  'please wait': 'dots',
  'scan to pay': 'dots', // Only when the code does not fit this panel: the sale is being closed.
  'checking': 'clock',
  'paid': 'tick',
  'undelivered': 'bang',
  'not paid': 'cross',
  'ask staff': 'bang',
  'reversed': 'return',
  'offline': 'broken link',
  'set up': 'keypad', // Only when the address does not fit: the code is typed.
  'updating': 'dots',
  'out of service': 'bar',
}

/** What to do, or how it ended, is read before the amount; but where the amount is typed, that is all that counts. */
const HEADLINE_UNDER_AMOUNT = 2 / 3

/** What explains a headline is smaller than it. */
const UNDER_HEADLINE = 0.8

function messageBlocks(view: View, shop: Shop, shape: Shape): readonly Block[] {
  const words = WORDS[shop.language]
  const message = messageOf(view, words, shop)
  const english = messageOf(view, WORDS.en, shop)
  return [
    ...headBlocks(shop, shape),
    { kind: 'space' },
    { kind: 'text', text: message.headline, weight: 'bold', em: 1.85, linesMax: 3, ...(view.screen === 'enter amount' ? {} : { underAmount: HEADLINE_UNDER_AMOUNT }) },
    ...(message.detail === '' ? [] : [{ kind: 'text', text: message.detail, weight: 'bold', em: 1.15, underHeadline: UNDER_HEADLINE, linesMax: 4 } as const]),
    ...inEnglish(shop, [english.headline, english.detail].filter((part) => ![message.headline, message.detail, ''].includes(part)).join('. ').replace('?. ', '? ')),
    { kind: 'space' },
    ...footBlocks(view, words, shop),
  ]
}

/** Who asks for the money. On a small panel one line of it must do. */
const headBlocks = (shop: Shop, { emPx, widthPx, heightPx }: Shape): readonly Block[] => [
  { kind: 'text', text: shop.shopName, weight: 'normal', em: 0.9, linesMax: emPx < 16 && heightPx < 1.2 * widthPx ? 1 : 2, mayBeCut: true, drop: DROP.shop },
  { kind: 'rule', drop: DROP.shop },
]

/** English stands second, unless it already stood first. */
function inEnglish(shop: Shop, text: string): readonly TextBlock[] {
  return shop.language === 'en' || text === '' ? [] : [{ kind: 'text', text, weight: 'normal', em: 0.9, linesMax: 4 }]
}

/** Names and amounts that no line's end may part: with no-break spaces. */
const unbroken = (text: string): string => text.replaceAll(' ', NO_BREAK_SPACE)

const NO_BREAK_SPACE = '\u00a0'

const referenceBlock = (words: Words, reference: string): TextBlock =>
  ({ kind: 'text', text: `${words.reference} ${reference}`, weight: 'normal', em: 0.85, linesMax: 1 })

function messageOf(view: Screen, words: Words, shop: Shop): Message {
  switch (view.screen) {
    case 'starting':       return words.starting
    case 'enter amount':   return isReady(view, shop) ? { headline: PAYMENT_METHODS[shop.method].title, detail: '' } : { headline: words.enterAmount, detail: view.digits === '' ? '' : words.pressOk }
    case 'confirm amount': return words.confirmAmount
    case 'refused':        return refusalMessage(view.refusal, words, shop)
    case 'please wait':    return words.pleaseWait
    case 'scan to pay':    return words.pleaseWait
    case 'checking':       return words.checking
    case 'paid':           return words.paid
    case 'undelivered':    return words.undelivered
    case 'not paid':       return unpaidMessage(words, view.reason)
    case 'ask staff':      return unpaidMessage(words, NEEDS_ATTENTION)
    case 'reversed':       return view.voided ? words.reversed.voided : words.reversed.refunded
    case 'offline':        return words.offline
    case 'set up':         return { headline: words.setUpTitle, detail: view.address } // Without a code: the address is typed.
    case 'updating':       return words.updating(view.minutesLeft)
    case 'out of service': return words.outOfService
  }
}

function refusalMessage(refusal: Refusal, words: Words, shop: Shop): Message {
  const limits = PAYMENT_METHODS[shop.method].limits[shop.currency]
  const bound = (minor: number | undefined) => (minor === undefined ? '' : unbroken(formatAmount({ minor, currency: shop.currency })))
  switch (refusal.reason) {
    case 'amount too small':       return words.amountTooSmall(bound(limits?.minMinor))
    case 'amount too large':       return words.amountTooLarge(bound(limits?.maxMinor))
    case 'not in pulses':          return words.amountInSteps(bound(refusal.stepMinor), bound(refusal.maxMinor))
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
    case 'journal fault':
    case 'keypad fault':
    case 'buttons fault':
    case 'register fault':
    case 'release fault': return words.outOfService
  }
}

function footBlocks(view: Screen, words: Words, shop: Shop): readonly Block[] {
  switch (view.screen) {
    case 'confirm amount':
      return [{ kind: 'amount', amount: typed(view.digits, shop), em: 3.6 }, { kind: 'space' }]
    case 'enter amount': {
      const missing: readonly TextBlock[] = view.missing === undefined ? []
        : [{ kind: 'text', text: `no ${view.missing}`, weight: 'normal', em: 0.65, linesMax: 1, drop: DROP.wallets }]
      const wallets = walletsOf(shop.method, shop.country)
      if (isReady(view, shop)) return [{ kind: 'text', text: wallets, weight: 'normal', em: 1, linesMax: 5 }, ...missing]
      return [
        { kind: 'amount', amount: typed(view.digits, shop), em: 3.6 }, { kind: 'space' }, ...missing,
        ...(wallets === '' ? [] : [{ kind: 'text', text: wallets, weight: 'normal', em: 0.65, linesMax: 3, drop: DROP.wallets } as const]),
      ]
    }
    case 'please wait':
    case 'scan to pay':
    case 'checking':
    case 'paid':
    case 'undelivered':
    case 'not paid':
    case 'ask staff':
    case 'reversed':
      return [{ kind: 'amount', amount: view.amount, em: 3.2 }, { kind: 'space' }, referenceBlock(words, view.reference)]
    case 'out of service':
      return [{ kind: 'space' }, { ...referenceBlock(words, FAULT_CODES[view.fault]), em: 0.75 }]
    case 'set up':
      return [
        { kind: 'text', text: words.setUpCode, weight: 'normal', em: 0.85, linesMax: 1 },
        { kind: 'text', text: view.code, weight: 'bold', em: 1.35, linesMax: 1 },
      ]
    case 'starting':
    case 'refused':
    case 'offline':
    case 'updating':
      return []
  }
}

const typed = (keys: string, { currency }: Shop): Amount => amountFromKeys(keys, currency) ?? { minor: 0, currency }

/** Under this much ink a dot stays white: a little below half, so that thin strokes of Thai do not break. */
const INK_MIN = 104

function pack(ink: Buffer, inkStride: number, { widthPx, heightPx }: PanelSize): Frame {
  const stride = strideBytes(widthPx)
  const bits = new Uint8Array(stride * heightPx)
  const rows = new DataView(ink.buffer, ink.byteOffset, ink.byteLength)
  for (let y = 0; y < heightPx; y++) {
    for (let i = 0; i < stride; i++) {
      const from = y * inkStride + 8 * i
      const dots = Math.min(8, widthPx - 8 * i)
      if (dots === 8 && rows.getUint32(from) === 0 && rows.getUint32(from + 4) === 0) continue // Most of a picture is white.
      let byte = 0
      for (let x = 0; x < dots; x++) if ((ink[from + x] ?? 0) >= INK_MIN) byte |= 0x80 >> x
      bits[y * stride + i] = byte
    }
  }
  return { widthPx, heightPx, bits }
}
