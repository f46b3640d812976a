/**
 * The bench's hardware seen from the terminal: keys, panel and lamps over one WebSocket to `<url>/hardware`.
 * The bench plays the devices; this file only carries them. It knows nothing of sales and draws nothing again by itself:
 * after an outage only the shell knows whether the last picture may still be seen (a code outlives its sale on paper).
 *
 *   terminal -> bench   text    { type: 'hello', version: 1, panel: { widthPx, heightPx, pitchMm } }   first, on every connection
 *                       text    { type: 'lamps', pattern }
 *                       binary  a picture: 'PLF1' | number u32 | widthPx u16 | heightPx u16 (big endian) | the frame's bits
 *   bench -> terminal   text    { type: 'input', input }        one key, or one line of a register
 *                       text    { type: 'shown', number }       the picture of that number is visible
 *
 * A message has at most 256 KB. What is neither of these is ignored and counted, on both sides. The bench serves one
 * terminal: a newer one takes over, and the older is closed with code 4001 and stays away.
 */
import type { Logger } from 'pino'
import { WebSocket, type RawData } from 'ws'
import { z } from 'zod'
import {
  type AmountSource, type Answer, DriverError, type Frame, type Input, type LampPattern, type Lamps, type Panel,
  type PanelSize, refuseWrongSize, strideBytes,
} from './driver.js'
import { createLatest } from './panel/latest.js'

export const HARDWARE_VERSION = 1
export const HARDWARE_BYTES_MAX = 256 * 1024
export const TAKEN_OVER = 4001

const CONNECT_MS = 5_000
const HANDSHAKE_MS = 2_000
const DRAW_MS = 3_000
const RETRY_MS = 100
const RETRY_MS_MAX = 2_000
const PING_MS = 5_000
const CLOSE_MS = 1_000

export interface BenchOptions {
  /** ws://host:port or wss://host:port, without the path. */
  readonly url: string
  readonly size: PanelSize
  readonly log: Logger
}

export interface Bench {
  readonly keypad: AmountSource
  readonly panel: Panel
  readonly lamps: Lamps
  /** Messages that were not of the protocol, since the start. */
  ignored(): number
  /** Hangs up. Closing the panel or the lamps alone leaves the connection to the others. */
  close(): Promise<void>
}

const Side = z.int().min(64).max(4096)

/** What the bench sends. */
export const BenchMessage = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('input'),
    input: z.discriminatedUnion('type', [
      z.strictObject({ type: z.literal('digit pressed'), digit: z.string().regex(/^([0-9]|00|000)$/) }),
      z.strictObject({ type: z.literal('point pressed') }),
      z.strictObject({ type: z.literal('clear pressed') }),
      z.strictObject({ type: z.literal('enter pressed') }),
      z.strictObject({ type: z.literal('cancel pressed') }),
      z.strictObject({ type: z.literal('product chosen'), product: z.string().min(1).max(64) }),
      z.strictObject({ type: z.literal('amount asked'), amount: z.string().min(1).max(32) }),
      z.strictObject({ type: z.literal('nonsense received'), what: z.string().max(200) }),
    ]) satisfies z.ZodType<Input>,
  }),
  z.strictObject({ type: z.literal('shown'), number: z.int().min(0) }),
])
export type BenchMessage = z.infer<typeof BenchMessage>

/** What the terminal sends as text; pictures are binary. */
export const HardwareMessage = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('hello'),
    version: z.literal(HARDWARE_VERSION),
    panel: z.strictObject({ widthPx: Side, heightPx: Side, pitchMm: z.number().min(0.05).max(2) }),
  }),
  z.strictObject({
    type: z.literal('lamps'),
    pattern: z.enum(['off', 'ready', 'working', 'waiting', 'checking', 'paid', 'not paid', 'offline', 'out of service'] satisfies
      readonly LampPattern[]),
  }),
])
export type HardwareMessage = z.infer<typeof HardwareMessage>

/** 'PLF1', number, width, height. */
const FRAME_HEADER_BYTES = 12
const FRAME_MAGIC = 0x504c4631

export interface NumberedFrame {
  readonly number: number
  readonly frame: Frame
}

export function packFrame({ number, frame }: NumberedFrame): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + frame.bits.length)
  const header = new DataView(bytes.buffer)
  header.setUint32(0, FRAME_MAGIC)
  header.setUint32(4, number)
  header.setUint16(8, frame.widthPx)
  header.setUint16(10, frame.heightPx)
  bytes.set(frame.bits, FRAME_HEADER_BYTES)
  return bytes
}

/** Undefined for anything that is not one whole picture. */
export function unpackFrame(bytes: Uint8Array): NumberedFrame | undefined {
  if (bytes.length < FRAME_HEADER_BYTES) return undefined
  const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (header.getUint32(0) !== FRAME_MAGIC) return undefined
  const number = header.getUint32(4)
  const frame: Frame = {
    widthPx: header.getUint16(8), heightPx: header.getUint16(10),
    bits: new Uint8Array(bytes.subarray(FRAME_HEADER_BYTES)),   // A copy; a Buffer's slice would not be one.
  }
  return frame.bits.length === strideBytes(frame.widthPx) * frame.heightPx ? { number, frame } : undefined
}

/** Reads one text message; undefined for anything that does not fit the schema. */
export function readMessage<T>(schema: z.ZodType<T>, text: string): T | undefined {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return undefined
  }
  return schema.safeParse(json).data
}

/** Resolves when the bench answered, within 5 s; from then on a lost connection is dialled again until `close`. */
export async function openBench({ url, size, log }: BenchOptions): Promise<Bench> {
  refuseTooLarge(size)
  const drawing = createDrawing()
  const hello: HardwareMessage = { type: 'hello', version: HARDWARE_VERSION, panel: size }
  let pattern: LampPattern = 'off'
  let deliver: ((input: Input) => void) | undefined
  let lampsClosed = false
  let ignored = 0
  const light = (next: LampPattern): void => {
    pattern = next
    link.send(JSON.stringify({ type: 'lamps', pattern } satisfies HardwareMessage))
  }

  const link = dialBench(url, log, {
    connected(send) {
      send(JSON.stringify(hello))
      send(JSON.stringify({ type: 'lamps', pattern } satisfies HardwareMessage))
    },
    received(data, isBinary) {
      const message = isBinary ? undefined : readMessage(BenchMessage, textOf(data))
      if (message === undefined) {
        ignored += 1
        log.warn({ ignored }, 'bench message ignored')
        return
      }
      switch (message.type) {
        case 'input': return deliver?.(message.input)
        case 'shown': return drawing.shown(message.number)
      }
    },
    lost() {
      drawing.fail(unreachable(url))
    },
  })
  await link.ready

  return {
    keypad: {
      start: async (to) => { deliver = to },
      answer: async (_: Answer) => {},   // A keypad has nobody to tell.
      stop: async () => { deliver = undefined },
    },
    panel: benchPanel(url, size, link, drawing),
    lamps: {
      show(next) {
        if (!lampsClosed) light(next)
      },
      close: async () => {
        lampsClosed = true
        light('off')
      },
    },
    ignored: () => ignored,
    close: async () => {
      deliver = undefined
      await link.close()
    },
  }
}

function benchPanel(url: string, size: PanelSize, link: Link, drawing: Drawing): Panel {
  let closed = false
  const latest = createLatest(async (frame) => {
    if (closed) throw over()
    const { number, visible } = drawing.begin()
    if (!link.send(packFrame({ number, frame }))) drawing.fail(unreachable(url))
    await visible
  })
  const over = (): DriverError => new DriverError('PANEL_WRITE_FAILED', `panel of the bench at ${url} is closed`)
  return {
    size,
    async draw(frame) {
      refuseWrongSize(frame, size)
      if (closed) throw over()
      await latest.draw(frame, 'clean')
    },
    async check() {
      if (!link.isUp()) throw unreachable(url)
    },
    close: async () => {
      closed = true
      drawing.fail(over())
    },
  }
}

/** The picture on its way, by its number. */
interface Drawing {
  /** Resolves when that picture is visible; one at a time. */
  begin(): { readonly number: number; readonly visible: Promise<void> }
  shown(number: number): void
  fail(why: DriverError): void
}

function createDrawing(): Drawing {
  let pending: { readonly number: number; readonly resolve: () => void; readonly reject: (error: DriverError) => void } | undefined
  let number = 0
  return {
    begin() {
      number = (number + 1) % 2 ** 32
      const visible = new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => pending?.reject(new DriverError('PANEL_TIMEOUT', `bench did not show picture ${number} for ${DRAW_MS} ms`)), DRAW_MS)
        const settle = <A extends unknown[]>(act: (...args: A) => void) => (...args: A) => {
          clearTimeout(timer)
          pending = undefined
          act(...args)
        }
        pending = { number, resolve: settle(resolve), reject: settle(reject) }
      })
      return { number, visible }
    },
    shown(seen) {
      if (pending?.number === seen) pending.resolve()
    },
    fail: (why) => pending?.reject(why),
  }
}

interface Link {
  /** Resolves with the first connection; rejects with BENCH_UNREACHABLE. */
  readonly ready: Promise<void>
  /** False when there is no connection, and nothing was sent. */
  send(message: string | Uint8Array): boolean
  isUp(): boolean
  close(): Promise<void>
}

interface LinkEvents {
  connected(send: (message: string) => void): void
  received(data: RawData, isBinary: boolean): void
  lost(): void
}

/** Keeps one connection to the bench, dialling again with growing pauses. */
function dialBench(url: string, log: Logger, on: LinkEvents): Link {
  let socket: WebSocket | undefined
  let retryMs = RETRY_MS
  let retryTimer: NodeJS.Timeout | undefined
  let over = false
  let lastError: Error | undefined
  let announceReady = (): void => {}

  const dial = (): void => {
    const dialled = new WebSocket(`${url.replace(/\/+$/, '')}/hardware`, {
      handshakeTimeout: HANDSHAKE_MS, maxPayload: HARDWARE_BYTES_MAX, perMessageDeflate: false,
    })
    socket = dialled
    let open = false
    const stopPings = watchForSilence(dialled)
    dialled.on('open', () => {
      open = true
      lastError = undefined
      retryMs = RETRY_MS
      log.info({ url }, 'bench connected')
      on.connected((message) => dialled.send(message))
      announceReady()
    })
    dialled.on('message', (data, isBinary) => on.received(data, isBinary))
    dialled.on('error', (error) => { lastError = error })   // 'close' follows and decides.
    dialled.on('close', (code) => {
      stopPings()
      on.lost()
      if (over) return
      if (open) log.warn({ url, code, err: lastError }, 'bench lost')
      if (code === TAKEN_OVER) {
        over = true
        log.error({ url }, 'another terminal took over the bench')
        return
      }
      retryTimer = setTimeout(dial, retryMs)
      retryMs = Math.min(retryMs * 2, RETRY_MS_MAX)
    })
  }

  const hangUp = async (): Promise<void> => {
    over = true
    clearTimeout(retryTimer)
    if (socket !== undefined) await closeSocket(socket)
  }

  const ready = new Promise<void>((resolve, reject) => {
    const patience = setTimeout(() => {
      void hangUp()
      reject(new DriverError('BENCH_UNREACHABLE', `bench at ${url} did not answer for ${CONNECT_MS} ms`, lastError))
    }, CONNECT_MS)
    announceReady = () => {
      clearTimeout(patience)
      resolve()
    }
  })
  dial()

  return {
    ready,
    isUp: () => socket?.readyState === WebSocket.OPEN,
    send(message) {
      if (socket?.readyState !== WebSocket.OPEN) return false
      socket.send(message, () => {})   // A failed write closes the socket, and 'close' decides.
      return true
    },
    close: hangUp,
  }
}

/** Ends a connection whose other end has silently gone. */
function watchForSilence(socket: WebSocket): () => void {
  let heard = true
  socket.on('pong', () => { heard = true })
  const timer = setInterval(() => {
    if (socket.readyState !== WebSocket.OPEN) return
    if (!heard) return socket.terminate()
    heard = false
    socket.ping()
  }, PING_MS)
  return () => clearInterval(timer)
}

async function closeSocket(socket: WebSocket): Promise<void> {
  if (socket.readyState === WebSocket.CLOSED) return
  await new Promise<void>((resolve) => {
    const impatience = setTimeout(() => socket.terminate(), CLOSE_MS)
    socket.once('close', () => {
      clearTimeout(impatience)
      resolve()
    })
    socket.close(1000)
  })
}

function refuseTooLarge({ widthPx, heightPx }: PanelSize): void {
  const bytes = FRAME_HEADER_BYTES + strideBytes(widthPx) * heightPx
  if (bytes <= HARDWARE_BYTES_MAX) return
  throw new DriverError('PANEL_WRONG_SIZE',
    `a picture of ${widthPx} x ${heightPx} dots needs ${bytes} bytes; a message to the bench has at most ${HARDWARE_BYTES_MAX}`)
}

const unreachable = (url: string): DriverError => new DriverError('BENCH_UNREACHABLE', `bench at ${url} is not connected`)

/** A message's bytes, however `ws` cut them. */
export function bytesOf(data: RawData): Uint8Array {
  if (Array.isArray(data)) return Buffer.concat(data)
  return data instanceof ArrayBuffer ? new Uint8Array(data) : data
}

export const textOf = (data: RawData): string => new TextDecoder().decode(bytesOf(data))
