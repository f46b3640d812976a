/**
 * Plays a terminal's hardware and notes when each picture and each lamp arrived: what the measurements look through.
 */
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import { readBack } from '../device/qr.js'
import { bytesOf, HardwareMessage, readMessage, textOf, unpackFrame } from '../drivers/bench.js'
import type { Input, LampPattern } from '../drivers/driver.js'

export interface Stopwatch {
  /** For `bench.url` of a profile. */
  readonly url: string
  press(input: Input): void
  /** The next picture that holds a code: when it came, and its text. */
  nextCode(): Promise<{ readonly at: number; readonly payload: string }>
  /** When the lamps next show this. */
  nextLamps(pattern: LampPattern): Promise<number>
  /** What the lamps show now; undefined before the first word of them. */
  lampsNow(): LampPattern | undefined
  /** When the first picture came. */
  firstPicture(): Promise<number>
  close(): Promise<void>
}

const WAIT_MS = 30_000

export async function startStopwatch(): Promise<Stopwatch> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, maxPayload: 1_048_576 })
  await new Promise<void>((resolve) => server.once('listening', () => resolve()))
  const address = server.address()
  if (typeof address === 'string' || address === null) throw new Error('the stopwatch has no port')

  const codes = createWaiting<{ at: number; payload: string }>('code')
  const lamps = createWaiting<{ at: number; pattern: LampPattern }>('word of the lamps')
  const pictures = createWaiting<number>('picture')
  let lit: LampPattern | undefined
  let terminal: WebSocket | undefined

  server.on('connection', (socket) => {
    terminal = socket
    socket.on('message', (data: RawData, isBinary: boolean) => {
      const at = performance.now()
      if (!isBinary) {
        const message = readMessage(HardwareMessage, textOf(data))
        if (message?.type !== 'lamps') return
        lit = message.pattern
        lamps.tell({ at, pattern: message.pattern })
        return
      }
      const picture = unpackFrame(bytesOf(data))
      if (picture === undefined) return
      socket.send(JSON.stringify({ type: 'shown', number: picture.number }))
      pictures.tell(at)
      if (!codes.wanted()) return
      void readBack(picture.frame).then((payload) => { if (payload !== undefined) codes.tell({ at, payload }) })
    })
  })

  return {
    url: `ws://127.0.0.1:${address.port}`,
    press: (input) => { terminal?.send(JSON.stringify({ type: 'input', input })) },
    nextCode: () => codes.next(() => true),
    nextLamps: async (pattern) => (await lamps.next((seen) => seen.pattern === pattern)).at,
    lampsNow: () => lit,
    firstPicture: () => pictures.next(() => true),
    async close() {
      for (const client of server.clients) client.terminate()
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}

interface Waiting<T> {
  next(matches: (seen: T) => boolean): Promise<T>
  wanted(): boolean
  tell(seen: T): void
}

function createWaiting<T>(what: string): Waiting<T> {
  const waiting = new Set<(seen: T) => void>()
  return {
    wanted: () => waiting.size > 0,
    tell: (seen) => { for (const look of [...waiting]) look(seen) },
    next: (matches) => new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        waiting.delete(look)
        reject(new Error(`no ${what} came that was waited for, in ${WAIT_MS} ms`))
      }, WAIT_MS)
      const look = (seen: T): void => {
        if (!matches(seen)) return
        clearTimeout(late)
        waiting.delete(look)
        resolve(seen)
      }
      waiting.add(look)
    }),
  }
}
