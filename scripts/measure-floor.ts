/**
 * The floor: the same hops as a sale -- WebSocket, MQTT, HTTP, commits, encode, draw, decode -- by the same libraries in
 * two processes, with no logic between them: nothing signed, checked, retried or restored. Only measure.ts starts it.
 *
 *   node measure-floor.js gateway <broker port> <http port> <sandbox url> <secret key> <folder>
 *   node measure-floor.js terminal <broker port> <bench url> <folder>
 */
import { Aedes } from 'aedes'
import Database from 'better-sqlite3'
import { createCanvas } from 'canvas'
import { createServer as createHttpServer } from 'node:http'
import { createServer, Socket } from 'node:net'
import { join } from 'node:path'
import mqtt from 'mqtt'
import { pino } from 'pino'
import { createCodeReader } from '../cloud/qr-document.js'
import { planCode, readBack } from '../device/qr.js'
import { openBench } from '../drivers/bench.js'
import { type Frame, strideBytes } from '../drivers/driver.js'

const SIZE = { widthPx: 400, heightPx: 300, pitchMm: 0.212 }

const openDatabase = (file: string): (() => void) => {
  const db = new Database(file)
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
  db.exec('CREATE TABLE IF NOT EXISTS row (seq INTEGER PRIMARY KEY, text TEXT)')
  const insert = db.prepare('INSERT INTO row (text) VALUES (?)')
  return () => { insert.run('x'.repeat(400)) }
}

async function gateway(brokerPort: number, httpPort: number, sandboxUrl: string, secretKey: string, folder: string): Promise<void> {
  const commit = openDatabase(join(folder, 'floor-gateway.sqlite'))
  const broker = await Aedes.createBroker()
  const codes = createCodeReader()
  await codes.warm()
  const authorization = `Basic ${Buffer.from(`${secretKey}:`).toString('base64')}`
  const call = async (path: string, body?: object): Promise<{ id: string; source: { scannable_code: { image: { download_uri: string } } } }> => {
    const response = await fetch(`${sandboxUrl}${path}`, {
      headers: { authorization, 'content-type': 'application/json' }, ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
    })
    return await response.json() as Awaited<ReturnType<typeof call>> // The floor believes whatever it is told.
  }
  const say = (message: object): void => {
    broker.publish({ cmd: 'publish', topic: 'down', payload: Buffer.from(JSON.stringify(message)), qos: 1, retain: false, dup: false }, () => undefined)
  }
  broker.subscribe('up', (_packet, done) => {
    done()
    void (async () => {
      commit()
      const charge = await call('/charges', { amount: 2500, currency: 'THB', source: { type: 'alipayplus_mpm' } })
      commit()
      const image = await fetch(charge.source.scannable_code.image.download_uri)
      const code = await codes.read(new Uint8Array(await image.arrayBuffer()))
      commit()
      say({ charge: charge.id, ...code })
    })()
  }, () => undefined)
  createServer((socket) => {
    socket.setNoDelay(true)
    broker.handle(socket)
  }).listen(brokerPort, '127.0.0.1')
  createHttpServer((request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => { body += chunk.toString() })
    request.on('end', () => {
      response.end('{}')
      const { data } = JSON.parse(body) as { data: { id: string } }
      void call(`/charges/${data.id}`).then(() => {
        commit()
        say({ paid: true })
      })
    })
  }).listen(httpPort, '127.0.0.1', () => process.stdout.write('ready\n'))
}

async function terminal(brokerPort: number, benchUrl: string, folder: string): Promise<void> {
  const commit = openDatabase(join(folder, 'floor-terminal.sqlite'))
  const bench = await openBench({ url: benchUrl, size: SIZE, log: pino({ level: 'silent' }) })
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${brokerPort}`, { protocolVersion: 4 })
  if (client.stream instanceof Socket) client.stream.setNoDelay(true)
  await client.subscribeAsync('down', { qos: 1 })
  const draw = createDrawing()
  client.on('message', (_topic, bytes) => {
    const message = JSON.parse(bytes.toString()) as { payload?: string; paid?: boolean }
    commit()
    if (message.paid === true) return bench.lamps.show('paid')
    const frame = draw(message.payload ?? '')
    void readBack(frame).then(() => bench.panel.draw(frame)).then(() => bench.lamps.show('waiting'))
  })
  await bench.keypad.start((input) => {
    if (input.type !== 'enter pressed') return
    commit()
    client.publish('up', JSON.stringify({ amount: 2500 }), { qos: 1 })
  })
  process.stdout.write('ready\n')
}

/** Encode, draw with four lines of text, pack. */
function createDrawing(): (payload: string) => Frame {
  const canvas = createCanvas(SIZE.widthPx, SIZE.heightPx)
  const context = canvas.getContext('2d', { pixelFormat: 'A8' })
  return (payload) => {
    context.clearRect(0, 0, SIZE.widthPx, SIZE.heightPx)
    const plan = planCode(payload, { widthPx: 240, heightPx: 300 }, SIZE.pitchMm)
    if (plan.fits) {
      plan.modules.forEach((row, y) => row.forEach((dark, x) => {
        if (dark) context.fillRect(20 + x * plan.modulePx, 40 + y * plan.modulePx, plan.modulePx, plan.modulePx)
      }))
    }
    ;['Baan Kafae', 'Scan to pay', 'THB 25.00', 'about 2 min left'].forEach((text, line) => {
      context.font = `${16 + line * 4}px "DejaVu Sans"`
      context.fillText(text, 250, 40 + line * 50)
    })
    const raw = canvas.toBuffer('raw'), stride = strideBytes(SIZE.widthPx), bits = new Uint8Array(stride * SIZE.heightPx)
    for (let y = 0; y < SIZE.heightPx; y++) {
      for (let x = 0; x < SIZE.widthPx; x++) {
        const byte = y * stride + (x >> 3)
        if ((raw[y * canvas.stride + x] ?? 0) > 127) bits[byte] = (bits[byte] ?? 0) | (0x80 >> (x & 7))
      }
    }
    return { widthPx: SIZE.widthPx, heightPx: SIZE.heightPx, bits }
  }
}

const [role, broker = '', second = '', third = '', fourth = '', fifth = ''] = process.argv.slice(2)
if (role === 'gateway') await gateway(Number(broker), Number(second), third, fourth, fifth)
else await terminal(Number(broker), second, third)
