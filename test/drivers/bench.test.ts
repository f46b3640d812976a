import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { pino } from 'pino'
import { afterEach, describe, expect, it } from 'vitest'
import { WebSocket, WebSocketServer } from 'ws'
import {
  type Bench, bytesOf, HARDWARE_BYTES_MAX, openBench, packFrame, TAKEN_OVER, textOf, unpackFrame,
} from '../../drivers/bench.js'
import { DriverError, type Frame, type Input, type PanelSize, strideBytes } from '../../drivers/driver.js'
import { amountSourceConformance } from '../conformance/amount-source.js'
import { lampsConformance } from '../conformance/lamps.js'
import { panelConformance } from '../conformance/panel.js'
import { type BenchServer, createBenchServer } from '../../scripts/bench-page/server.js'

const size: PanelSize = { widthPx: 122, heightPx: 64, pitchMm: 0.19 }
const log = pino({ level: 'silent' })

const toClose: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of toClose.splice(0).reverse()) await close()
})

describe('a terminal at the bench', () => {
  it('shows exactly the picture it drew, once draw resolves', async () => {
    const { server, bench } = await atTheBench()
    const frame = pattern(1)
    await bench.panel.draw(frame)
    expect(server.latestFrame()).toEqual(frame)
  })

  it('draws the newest of pictures that wait, and never an overtaken one', async () => {
    const { server, bench } = await atTheBench()
    const seen: Frame[] = []
    server.onFrame((frame) => seen.push(frame))
    const first = bench.panel.draw(pattern(1))
    await until(() => seen.length === 1)
    await Promise.all([first, ...[2, 3, 4].map((seed) => bench.panel.draw(pattern(seed)))])
    expect(seen.at(-1)).toEqual(pattern(4))
    expect(seen.length).toBeLessThanOrEqual(3)
  })

  it('keeps the picture as it was when drawing began, even if the caller reuses the buffer', async () => {
    const { server, bench } = await atTheBench()
    const frame = pattern(1)
    const drawing = bench.panel.draw(frame)
    frame.bits.fill(0)
    await drawing
    expect(server.latestFrame()).toEqual(pattern(1))
  })

  it('refuses a picture of another size and shows nothing', async () => {
    const { server, bench } = await atTheBench()
    const wrong = [
      { ...pattern(1), widthPx: 120 },
      { ...pattern(1), heightPx: 63 },
      { ...pattern(1), bits: new Uint8Array(5) },
    ]
    for (const frame of wrong) await expect(bench.panel.draw(frame)).rejects.toMatchObject({ code: 'PANEL_WRONG_SIZE' })
    expect(server.latestFrame()).toBeUndefined()
  })

  it('refuses to draw once the panel is closed, while keys and lamps go on', async () => {
    const { server, bench } = await atTheBench()
    const keys = await listen(bench)
    await bench.panel.close()
    await expect(bench.panel.draw(pattern(1))).rejects.toMatchObject({ code: 'PANEL_WRITE_FAILED' })
    bench.lamps.show('waiting')
    await until(() => server.latestLamps() === 'waiting')
    server.press({ type: 'enter pressed' })
    await until(() => keys.length === 1)
  })

  it('delivers keys in order between start and stop, and none before or after', async () => {
    const { server, bench } = await atTheBench()
    server.press({ type: 'digit pressed', digit: '9' })
    await bench.panel.draw(pattern(1))   // Comes after the key on the same wire, so the key has arrived and gone.
    const keys = await listen(bench)
    const pressed: Input[] = [
      { type: 'digit pressed', digit: '2' }, { type: 'digit pressed', digit: '5' }, { type: 'clear pressed' },
      { type: 'enter pressed' }, { type: 'cancel pressed' },
    ]
    for (const input of pressed) server.press(input)
    await until(() => keys.length === pressed.length)
    await bench.keypad.stop()
    server.press({ type: 'digit pressed', digit: '7' })
    await bench.panel.draw(pattern(2))
    expect(keys).toEqual(pressed)
  })

  it('has nobody to tell how a sale ended', async () => {
    const { bench } = await atTheBench()
    await expect(bench.keypad.answer({ answer: 'no', reason: 'expired' })).resolves.toBeUndefined()
  })

  it('leaves dark lamps and its last picture behind when it goes', async () => {
    const { server, bench } = await atTheBench()
    await bench.panel.draw(pattern(3))
    bench.lamps.show('paid')
    await until(() => server.latestLamps() === 'paid')
    await bench.close()
    await until(() => server.latestLamps() === 'off')
    expect(server.latestFrame()).toEqual(pattern(3))
    expect(server.press({ type: 'enter pressed' })).toBe(false)
  })
})

panelConformance('the panel of the bench', async (panelSize) => {
  const server = await openServer()
  const bench = await openBench({ url: server.hardwareUrl, size: panelSize, log })
  return {
    panel: bench.panel,
    visible: async () => {
      const frame = server.latestFrame()
      if (frame === undefined) throw new Error('the bench shows nothing')
      return frame
    },
    dispose: () => bench.close(),
  }
})

describe('the keypad of the bench', () => {
  amountSourceConformance(async () => {
    const { server, bench } = await atTheBench()
    const inputs: readonly Input[] = [
      { type: 'digit pressed', digit: '2' }, { type: 'enter pressed' }, { type: 'amount asked', amount: '150.00' },
      { type: 'nonsense received', what: 'hello' }, { type: 'cancel pressed' },
    ]
    return {
      source: bench.keypad,
      ask: async () => {
        for (const input of inputs) server.press(input)
        return inputs
      },
      settle: () => bench.panel.draw(pattern(1)),   // Comes back on the same wire, after every key.
      close: async () => {},
    }
  })
})

describe('the lamps of the bench', () => {
  lampsConformance(async () => {
    const { server, bench } = await atTheBench()
    return { lamps: bench.lamps, seen: () => server.latestLamps() }
  })

  it('are dark once closed, and stay so', async () => {
    const { server, bench } = await atTheBench()
    bench.lamps.show('paid')
    await until(() => server.latestLamps() === 'paid')
    await bench.lamps.close()
    bench.lamps.show('paid')
    await bench.panel.draw(pattern(1))
    expect(server.latestLamps()).toBe('off')
  })
})

describe('when the bench goes away', () => {
  it('refuses to draw until it is back, then announces itself and lights the lamps again', async () => {
    const first = await openServer()
    const bench = await openTerminal(first.hardwareUrl)
    bench.lamps.show('checking')
    const port = Number(new URL(first.url).port)
    await first.close()
    await until(async () => await codeOf(bench.panel.draw(pattern(1))) === 'BENCH_UNREACHABLE')
    bench.lamps.show('waiting')

    const second = await openServer(port)
    await until(() => second.latestLamps() === 'waiting')
    await bench.panel.draw(pattern(2))
    expect(second.latestFrame()).toEqual(pattern(2))
  })

  it('never shows an old picture again by itself', async () => {
    const first = await openServer()
    const bench = await openTerminal(first.hardwareUrl)
    await bench.panel.draw(pattern(1))
    const port = Number(new URL(first.url).port)
    await first.close()
    const second = await openServer(port)
    await until(() => second.press({ type: 'clear pressed' }))
    expect(second.latestFrame()).toBeUndefined()
  })

  it('ends a picture on its way at once', async () => {
    const deaf = await openDeafBench()
    const bench = await openTerminal(deaf.url)
    const drawing = codeOf(bench.panel.draw(pattern(1)))
    await deaf.close()
    expect(await drawing).toBe('BENCH_UNREACHABLE')
  })

  it('fails with BENCH_UNREACHABLE when no bench answers at the start', async () => {
    const port = await freePort()
    const error = await openBench({ url: `ws://127.0.0.1:${port}`, size, log }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(DriverError)
    expect(error).toMatchObject({ code: 'BENCH_UNREACHABLE', message: expect.stringContaining(`127.0.0.1:${port}`) })
  }, 10_000)

  it('waits for a bench that starts a little later', async () => {
    const port = await freePort()
    const opening = openBench({ url: `ws://127.0.0.1:${port}`, size, log })
    await openServer(port)
    const bench = await opening
    toClose.push(() => bench.close())
    await bench.panel.draw(pattern(1))
  })
})

describe('a bench that does not do its part', () => {
  it('fails a picture that it never shows with PANEL_TIMEOUT, and not before the acknowledgement of that very picture', async () => {
    const deaf = await openDeafBench((send) => send(JSON.stringify({ type: 'shown', number: 4711 })))
    const bench = await openTerminal(deaf.url)
    expect(await codeOf(bench.panel.draw(pattern(1)))).toBe('PANEL_TIMEOUT')
  }, 10_000)

  it('is not believed when it talks nonsense, which is counted, and the next key still counts', async () => {
    const nonsense = [
      'not json', '[]', '{"type":"shown"}', '{"type":"input","input":{"type":"digit pressed","digit":"12"}}',
      '{"type":"input","input":{"type":"enter pressed","extra":1}}', '{"type":"input","input":{"type":"sale paid"}}',
      `{"type":"input","input":{"type":"amount asked","amount":"${'1'.repeat(33)}"}}`,
    ]
    const deaf = await openDeafBench((send) => {
      for (const text of nonsense) send(text)
      send(new Uint8Array([1, 2, 3]))
      send(JSON.stringify({ type: 'input', input: { type: 'enter pressed' } }))
    })
    const bench = await openTerminal(deaf.url)
    const keys = await listen(bench)
    void codeOf(bench.panel.draw(pattern(1)))
    await until(() => keys.length > 0)
    expect(keys).toEqual([{ type: 'enter pressed' }])
    expect(bench.ignored()).toBe(nonsense.length + 1)
  })

  it('is hung up on when it sends more than 256 KB, and dialled again', async () => {
    let connections = 0
    const deaf = await openDeafBench((send) => send('x'.repeat(HARDWARE_BYTES_MAX + 1)), () => { connections += 1 })
    const bench = await openTerminal(deaf.url)
    void codeOf(bench.panel.draw(pattern(1)))
    await until(() => connections === 2)
    expect(bench.ignored()).toBe(0)
  })
})

describe('the bench', () => {
  it('lets a newer terminal take over, and the older one stays away', async () => {
    const server = await openServer()
    const older = await openTerminal(server.hardwareUrl)
    const olderKeys = await listen(older)
    const newer = await openTerminal(server.hardwareUrl)
    const newerKeys = await listen(newer)
    await newer.panel.draw(pattern(2))
    await until(async () => await codeOf(older.panel.draw(pattern(1))) === 'BENCH_UNREACHABLE')
    server.press({ type: 'enter pressed' })
    await until(() => newerKeys.length === 1)
    expect(olderKeys).toEqual([])
    expect(server.latestFrame()).toEqual(pattern(2))
  })

  it('is not dialled again by a terminal that was taken over', async () => {
    let connections = 0
    const taking = await openDeafBench(() => {}, (socket) => {
      connections += 1
      socket.close(TAKEN_OVER)
    })
    const bench = await openTerminal(taking.url)
    await until(async () => await codeOf(bench.panel.draw(pattern(1))) === 'BENCH_UNREACHABLE')
    await new Promise((resolve) => setTimeout(resolve, 800))   // Three pauses of a terminal that would dial again.
    expect(connections).toBe(1)
  })

  it('tells the older terminal why it was hung up on', async () => {
    const server = await openServer()
    const older = new WebSocket(`${server.hardwareUrl}/hardware`)
    await once(older, 'open')
    const closed = once(older, 'close')
    await openTerminal(server.hardwareUrl)
    expect((await closed)[0]).toBe(TAKEN_OVER)
  })

  it('ignores and counts what is not of the protocol, and shows nothing of it', async () => {
    const server = await openServer()
    const socket = new WebSocket(`${server.hardwareUrl}/hardware`)
    toClose.push(async () => socket.terminate())
    await once(socket, 'open')
    const good = packFrame({ number: 1, frame: pattern(1) })
    socket.send(good)                                                          // Before hello.
    socket.send(JSON.stringify({ type: 'hello', version: 2, panel: size }))    // Another version.
    socket.send(JSON.stringify({ type: 'hello', version: 1, panel: size }))
    socket.send(JSON.stringify({ type: 'lamps', pattern: 'disco' }))
    socket.send('{')
    socket.send(good.slice(0, 40))
    socket.send(packFrame({ number: 2, frame: { widthPx: 64, heightPx: 64, bits: new Uint8Array(512) } }))   // Not this panel.
    await until(() => server.ignored() === 6)
    expect(server.latestFrame()).toBeUndefined()
    expect(server.latestLamps()).toBe('off')
    socket.send(good)
    await until(() => server.latestFrame() !== undefined)
  })

  it('hangs up on a message of more than 256 KB', async () => {
    const server = await openServer()
    const socket = new WebSocket(`${server.hardwareUrl}/hardware`)
    await once(socket, 'open')
    const closed = once(socket, 'close')
    socket.send(new Uint8Array(HARDWARE_BYTES_MAX + 1))
    expect((await closed)[0]).toBe(1009)
  })
})

describe('a picture on the wire', () => {
  it('comes back as it was, with its number', () => {
    const numbered = { number: 4_000_000_000, frame: pattern(5) }
    expect(unpackFrame(packFrame(numbered))).toEqual(numbered)
  })

  it('is nothing when a byte is missing, too much, or another protocol\'s', () => {
    const bytes = packFrame({ number: 1, frame: pattern(5) })
    const foreign = bytes.slice()
    foreign[0] = 0
    const broken = [new Uint8Array(), bytes.slice(0, 11), bytes.slice(0, -1), new Uint8Array([...bytes, 0]), foreign]
    for (const broke of broken) expect(unpackFrame(broke)).toBeUndefined()
  })

  it('must fit a message, so a panel too large for it is refused at once', async () => {
    const opening = openBench({ url: 'ws://127.0.0.1:1', size: { widthPx: 4096, heightPx: 4096, pitchMm: 0.1 }, log })
    await expect(opening).rejects.toMatchObject({ code: 'PANEL_WRONG_SIZE' })
  })
})

async function openServer(port = 0): Promise<BenchServer> {
  const server = await createBenchServer({ port, sandboxUrl: 'http://127.0.0.1:9', log })
  toClose.push(() => server.close())
  return server
}

async function openTerminal(url: string): Promise<Bench> {
  const bench = await openBench({ url, size, log })
  toClose.push(() => bench.close())
  return bench
}

async function atTheBench(): Promise<{ readonly server: BenchServer; readonly bench: Bench }> {
  const server = await openServer()
  const bench = await openTerminal(server.hardwareUrl)
  bench.lamps.show('ready')
  await until(() => server.latestLamps() === 'ready')   // The bench has read the hello before it.
  return { server, bench }
}

async function listen(bench: Bench): Promise<Input[]> {
  const keys: Input[] = []
  await bench.keypad.start((input) => keys.push(input))
  return keys
}

/** Takes connections and pictures and acknowledges nothing; `onPicture` may say whatever it likes. */
async function openDeafBench(
  onPicture: (send: (message: string | Uint8Array) => void) => void = () => {}, onConnection: (socket: WebSocket) => void = () => {},
): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', path: '/hardware' })
  server.on('connection', (socket) => {
    onConnection(socket)
    socket.on('error', () => {})
    socket.on('message', (data, isBinary) => {
      if (isBinary && unpackFrame(bytesOf(data)) !== undefined) onPicture((message) => socket.send(message))
      else JSON.parse(textOf(data))
    })
  })
  await once(server, 'listening')
  const close = async (): Promise<void> => {
    for (const client of server.clients) client.terminate()
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
  toClose.push(close)
  // A server on a TCP port has an address with a port.
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, close }
}

async function freePort(): Promise<number> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo   // As above.
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}

/** Different for each seed, with the padding bits of a row left light. */
function pattern(seed: number): Frame {
  const { widthPx, heightPx } = size
  const bits = new Uint8Array(strideBytes(widthPx) * heightPx)
  for (let y = 0; y < heightPx; y += 1) {
    for (let x = 0; x < widthPx; x += 1) {
      const at = y * strideBytes(widthPx) + (x >> 3)
      if ((x * 7 + y * 13 + seed) % (seed + 3) === 0) bits[at] = (bits[at] ?? 0) | (0x80 >> (x & 7))
    }
  }
  return { widthPx, heightPx, bits }
}

const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work
    return 'fine'
  } catch (error) {
    return error instanceof DriverError ? error.code : String(error)
  }
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + 4_000
  while (!await condition()) {
    if (Date.now() > giveUpAt) throw new Error(`still not true: ${condition.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
