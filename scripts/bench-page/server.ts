/**
 * The bench: plays the hardware of one real terminal process and shows it to any number of browsers.
 *
 *   terminal --/hardware--> bench <--/live-- page          protocol of /hardware: drivers/bench.ts
 *                             |                            /live: the same pictures as binary, the rest as JSON
 *                           /phone/* --> the sandbox's wallet
 *
 * It decides nothing about money. It listens on the loopback unless told otherwise, and answers only pages it served.
 */
import { isIP } from 'node:net'
import type { IncomingMessage } from 'node:http'
import fastify, { type FastifyInstance } from 'fastify'
import type { Logger } from 'pino'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import { z } from 'zod'
import {
  BenchMessage, bytesOf, HARDWARE_BYTES_MAX, HardwareMessage, packFrame, readMessage, TAKEN_OVER, textOf, unpackFrame,
} from '../../drivers/bench.js'
import type { Frame, Input, LampPattern, PanelSize } from '../../drivers/driver.js'
import { type Asset, contentSecurityPolicy, readAssets } from './assets.js'
import { createPhone, type Outcome, PayRequest, type Phone, ScanRequest } from './phone.js'
import { createRegister, type Register } from './register.js'

export interface BenchServerOptions {
  /** Default 127.0.0.1. */
  readonly host?: string
  /** 0 takes any free port. */
  readonly port: number
  /** http://host:port of the sandbox whose wallet the phone uses. */
  readonly sandboxUrl: string
  readonly log: Logger
  /** A few words above the headline: which shop this is, and what it takes. */
  readonly story?: string
  /** The bench adds to the timeline what only it sees: keys and the phone. Default true. */
  readonly narrates?: boolean
  /** A tty or pty that any program can open and speak to the terminal as a register; shown on the page. */
  readonly registerPath?: string
}

export interface TimelineEntry {
  /** Milliseconds since the bench started, or since 1970. */
  readonly at: number
  readonly from: string
  readonly to: string
  readonly text: string
  readonly tone?: 'plain' | 'money' | 'warning'
}

export interface BenchServer {
  /** http://host:port, for browsers. */
  readonly url: string
  /** ws://host:port, for `bench.url` of a terminal's profile. */
  readonly hardwareUrl: string
  timeline(entry: TimelineEntry): void
  /** Calls the listener with every picture from now on; returns the end of it. */
  onFrame(listener: (frame: Frame) => void): () => void
  /** False when no terminal is there to feel the key. */
  press(input: Input): boolean
  latestFrame(): Frame | undefined
  latestLamps(): LampPattern
  /** Messages that were not of the protocol, from terminals and browsers, since the start. */
  ignored(): number
  close(): Promise<void>
}

const TIMELINE_MAX = 500
const TEXT_CHARS_MAX = 300
const BROWSERS_MAX = 32
const BROWSER_MESSAGE_BYTES_MAX = 1024
/** A browser that reads slower than this falls off; it reconnects and starts from the latest picture. */
const BROWSER_BACKLOG_BYTES_MAX = 4 * 1024 * 1024
const REQUEST_BYTES_MAX = 4 * 1024
/** Earlier moments are meant as milliseconds since the bench started (1971 is long over). */
const EPOCH_MS_MIN = 1e11

/** What a browser may send. */
const PageMessage = z.strictObject({ type: z.literal('press'), input: BenchMessage.options[0].shape.input })
const RingUp = z.strictObject({ amount: z.string().regex(/^[0-9]{1,9}(\.[0-9]{1,2})?$/) })

/** What the page hears, beside the pictures. */
type LiveMessage =
  | { readonly type: 'bench'; readonly story: string | null; readonly registerPath: string | null }
  | { readonly type: 'terminal'; readonly connected: boolean; readonly panel: PanelSize | null }
  | { readonly type: 'lamps'; readonly pattern: LampPattern }
  | { readonly type: 'timeline'; readonly entries: readonly TimelineEntry[]; readonly fresh: boolean }
  | { readonly type: 'register'; readonly line: string }

export async function createBenchServer(options: BenchServerOptions): Promise<BenchServer> {
  const { host = '127.0.0.1', port, sandboxUrl, log } = options
  const startedAt = Date.now()
  const bench = createBench(options, startedAt)
  const phone = createPhone(sandboxUrl)
  const register = options.registerPath === undefined ? undefined
    : createRegister(options.registerPath, log, (line) => bench.registerSaid(line))

  const app = fastify({ bodyLimit: REQUEST_BYTES_MAX, forceCloseConnections: true, requestTimeout: 10_000 })
  app.removeContentTypeParser('text/plain')
  refuseStrangers(app, host)
  serveAssets(app, await readAssets())
  servePhone(app, phone, bench)
  if (register !== undefined) serveRegister(app, register, bench)
  const sockets = acceptSockets(app, host, bench)
  await app.listen({ host, port })

  const address = app.server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  const authority = `${host.includes(':') ? `[${host}]` : host}:${bound}`
  log.info({ url: `http://${authority}` }, 'bench open')
  return {
    url: `http://${authority}`,
    hardwareUrl: `ws://${authority}`,
    timeline: bench.timeline,
    onFrame: bench.onFrame,
    press: bench.press,
    latestFrame: bench.latestFrame,
    latestLamps: bench.latestLamps,
    ignored: bench.ignored,
    async close() {
      for (const server of sockets) {
        for (const client of server.clients) client.terminate()
        server.close()
      }
      await register?.close()
      await app.close()
    },
  }
}

/** Everything that is remembered, and who is told what. */
interface BenchState extends Pick<BenchServer, 'timeline' | 'onFrame' | 'press' | 'latestFrame' | 'latestLamps' | 'ignored'> {
  terminalArrived(socket: WebSocket): void
  browserArrived(socket: WebSocket): void
  registerSaid(line: string): void
  narrate(entry: Omit<TimelineEntry, 'at'>): void
}

function createBench({ log, story, registerPath, narrates = true }: BenchServerOptions, startedAt: number): BenchState {
  const browsers = new Set<WebSocket>()
  const listeners = new Set<(frame: Frame) => void>()
  const entries: TimelineEntry[] = []
  let terminal: { readonly socket: WebSocket; panel: PanelSize | null } | undefined
  let frame: Frame | undefined
  let lamps: LampPattern = 'off'
  let digits = ''
  let ignoredCount = 0

  const tell = (browser: WebSocket, message: LiveMessage | Uint8Array): void => {
    if (browser.bufferedAmount > BROWSER_BACKLOG_BYTES_MAX) return browser.terminate()
    browser.send(message instanceof Uint8Array ? message : JSON.stringify(message), () => {})
  }
  const tellAll = (message: LiveMessage | Uint8Array): void => {
    for (const browser of browsers) tell(browser, message)
  }
  const ignore = (from: 'terminal' | 'browser'): void => {
    ignoredCount += 1
    log.warn({ from, ignored: ignoredCount }, 'bench ignored a message')
  }
  const terminalMessage = (): LiveMessage => ({
    type: 'terminal', connected: terminal?.panel != null, panel: terminal?.panel ?? null,
  })
  const showLamps = (pattern: LampPattern): void => {
    lamps = pattern
    tellAll({ type: 'lamps', pattern })
  }

  const timeline = (entry: TimelineEntry): void => {
    const at = entry.at < EPOCH_MS_MIN ? startedAt + entry.at : entry.at
    const kept = { ...entry, at, text: entry.text.slice(0, TEXT_CHARS_MAX) }
    entries.push(kept)   // In the order heard; the page puts them in the order of time.
    if (entries.length > TIMELINE_MAX) entries.shift()
    tellAll({ type: 'timeline', entries: [kept], fresh: false })
  }
  const narrate = (entry: Omit<TimelineEntry, 'at'>): void => {
    if (narrates) timeline({ ...entry, at: Date.now() })
  }

  const press = (input: Input): boolean => {
    if (terminal?.panel == null) return false
    terminal.socket.send(JSON.stringify({ type: 'input', input } satisfies BenchMessage), () => {})
    const keyed = digits
    digits = input.type === 'digit pressed' ? (digits + input.digit).slice(-12) : ''
    if (input.type === 'enter pressed') narrate({ from: 'Cashier', to: 'Terminal', text: keyed === '' ? 'OK' : `keys ${keyed}, OK` })
    if (input.type === 'cancel pressed') narrate({ from: 'Cashier', to: 'Terminal', text: 'Cancel' })
    return true
  }

  const hearPicture = (socket: WebSocket, panel: PanelSize | null, data: RawData): void => {
    const picture = unpackFrame(bytesOf(data))
    if (picture === undefined || picture.frame.widthPx !== panel?.widthPx || picture.frame.heightPx !== panel.heightPx) {
      return ignore('terminal')
    }
    frame = picture.frame
    tellAll(packFrame(picture))
    for (const listener of listeners) listener(picture.frame)
    socket.send(JSON.stringify({ type: 'shown', number: picture.number } satisfies BenchMessage), () => {})
  }

  return {
    timeline,
    narrate,
    press,
    latestFrame: () => frame,
    latestLamps: () => lamps,
    ignored: () => ignoredCount,
    registerSaid: (line) => tellAll({ type: 'register', line }),
    onFrame(listener) {
      listeners.add(listener)
      return () => { listeners.delete(listener) }
    },

    terminalArrived(socket) {
      terminal?.socket.close(TAKEN_OVER, 'another terminal took over')
      const mine: NonNullable<typeof terminal> = { socket, panel: null }
      terminal = mine
      digits = ''
      socket.on('message', (data, isBinary) => {
        if (terminal !== mine) return   // Taken over, and not yet gone.
        if (isBinary) return hearPicture(socket, mine.panel, data)
        const message = readMessage(HardwareMessage, textOf(data))
        if (message === undefined) return ignore('terminal')
        switch (message.type) {
          case 'hello':
            mine.panel = message.panel
            log.info({ panel: message.panel }, 'terminal at the bench')
            return tellAll(terminalMessage())
          case 'lamps':
            return showLamps(message.pattern)
        }
      })
      socket.on('error', () => { ignore('terminal') })   // Too long, or no WebSocket at all; 'close' follows.
      socket.on('close', () => {
        if (terminal !== mine) return
        terminal = undefined
        showLamps('off')   // Lamps go dark with their terminal; the panel keeps its picture, as electronic paper does.
        tellAll(terminalMessage())
      })
    },

    browserArrived(socket) {
      if (browsers.size >= BROWSERS_MAX) return socket.close(1013, 'too many pages')
      browsers.add(socket)
      socket.on('message', (data, isBinary) => {
        const message = isBinary ? undefined : readMessage(PageMessage, textOf(data))
        if (message === undefined) return ignore('browser')
        press(message.input)
      })
      socket.on('error', () => { ignore('browser') })
      socket.on('close', () => { browsers.delete(socket) })
      tell(socket, { type: 'bench', story: story ?? null, registerPath: registerPath ?? null })
      tell(socket, terminalMessage())
      if (frame !== undefined) tell(socket, packFrame({ number: 0, frame }))
      tell(socket, { type: 'lamps', pattern: lamps })
      tell(socket, { type: 'timeline', entries, fresh: true })
    },
  }
}

/** /hardware is for programs, /live for pages of ours; both without an answer to anybody else. */
function acceptSockets(app: FastifyInstance, host: string, bench: BenchState): readonly WebSocketServer[] {
  const hardware = new WebSocketServer({ noServer: true, maxPayload: HARDWARE_BYTES_MAX, perMessageDeflate: false })
  const live = new WebSocketServer({ noServer: true, maxPayload: BROWSER_MESSAGE_BYTES_MAX, perMessageDeflate: false })
  app.server.on('upgrade', (request, socket, head) => {
    socket.on('error', () => {})   // A caller that hangs up before the answer.
    const path = request.url?.split('?')[0]
    if (path === '/hardware' && request.headers.origin === undefined && isOurName(request.headers.host, host)) {
      hardware.handleUpgrade(request, socket, head, bench.terminalArrived)
    } else if (path === '/live' && isOurPage(request.headers, host)) {
      live.handleUpgrade(request, socket, head, bench.browserArrived)
    } else {
      socket.end('HTTP/1.1 403 Forbidden\r\nconnection: close\r\ncontent-length: 0\r\n\r\n')
    }
  })
  return [hardware, live]
}

/** A page of another site may neither read nor press anything here, by whatever name it calls us (DNS rebinding). */
function refuseStrangers(app: FastifyInstance, host: string): void {
  app.addHook('onRequest', async (request, reply) => {
    const allowed = request.method === 'GET' ? isOurName(request.headers.host, host) : isOurPage(request.headers, host)
    if (!allowed) return reply.code(403).send({ problem: 'Only the bench page may ask this.' })
  })
  app.addHook('onSend', async (request, reply) => {
    reply.header('content-security-policy', contentSecurityPolicy(request.headers.host ?? ''))
    reply.header('x-content-type-options', 'nosniff')
    reply.header('referrer-policy', 'no-referrer')
    reply.header('cross-origin-opener-policy', 'same-origin')
    reply.header('cross-origin-resource-policy', 'same-origin')
    reply.header('cache-control', 'no-store')
  })
}

/** Rebinding needs a name of the attacker's, so any address and our own names are good. */
function isOurName(authority: string | undefined, host: string): boolean {
  if (authority === undefined || !/^[A-Za-z0-9.:[\]-]{1,255}$/.test(authority)) return false
  const name = authority.replace(/:[0-9]+$/, '').replace(/^\[(.*)\]$/, '$1').toLowerCase()
  return name === 'localhost' || name === host.toLowerCase() || isIP(name) !== 0
}

const isOurPage = ({ origin, host: authority }: IncomingMessage['headers'], host: string): boolean =>
  isOurName(authority, host) && (origin === `http://${authority}` || origin === `https://${authority}`)

function serveAssets(app: FastifyInstance, assets: readonly Asset[]): void {
  for (const { path, type, body } of assets) {
    app.get(path, async (_, reply) => reply.type(type).send(body))
  }
}

function servePhone(app: FastifyInstance, phone: Phone, bench: BenchState): void {
  app.post('/phone/scan', async (request, reply) => {
    const asked = ScanRequest.safeParse(request.body)
    if (!asked.success) return reply.code(400).send({ problem: 'This is not a code.' })
    const told = await phone.scan(asked.data.payload)
    if ('problem' in told) return reply.code(told.status).send({ problem: told.problem })
    const { amount, merchant } = told.answer
    bench.narrate({ from: 'Customer', to: 'Omise sandbox', text: `reads the panel: ${amount} for ${merchant}` })
    return told.answer
  })
  app.post('/phone/pay', async (request, reply) => {
    const asked = PayRequest.safeParse(request.body)
    if (!asked.success) return reply.code(400).send({ problem: 'This is not a decision.' })
    const { payload, outcome } = asked.data
    const narrated = { from: 'Customer', to: 'Omise sandbox', text: DECISION_WORDS[outcome] } as const
    bench.narrate({ ...narrated, tone: outcome === 'paid' ? 'money' : 'warning' })
    const told = await phone.pay(payload, outcome)
    if ('problem' in told) return reply.code(told.status).send({ problem: told.problem })
    return told.answer
  })
}

const DECISION_WORDS: Readonly<Record<Outcome, string>> = {
  paid: 'pays on the phone',
  payment_rejected: 'rejects on the phone',
  insufficient_fund: 'tries to pay without enough money',
  failed_processing: 'tries to pay while the bank fails',
}

function serveRegister(app: FastifyInstance, register: Register, bench: BenchState): void {
  app.post('/register/ring-up', async (request, reply) => {
    const asked = RingUp.safeParse(request.body)
    if (!asked.success) return reply.code(400).send({ problem: 'An amount looks like 150.00.' })
    bench.narrate({ from: 'Register', to: 'Terminal', text: `asks for ${asked.data.amount}` })
    const problem = await register.ringUp(asked.data.amount)
    return problem === undefined ? { rung: asked.data.amount } : reply.code(502).send({ problem })
  })
}
