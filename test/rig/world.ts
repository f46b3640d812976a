/** The host's side of outside.ts: a finger on the keypad, a phone before the panel, a register, and the shop's own cloud. */
import { createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { createCanvas, loadImage } from 'canvas'
import { SerialPort } from 'serialport'
import { readBarcodes } from 'zxing-wasm/reader'
import { loadReader, readBack } from '../../device/qr.js'
import { Profile } from '../../firmware-config/schema.js'
import { openWorkbench, type Workbench } from '../../scripts/workbench.js'
import { upright } from '../emulators/upright.js'
import { modelNamed, pictureOn } from './glass.js'
import type { Machine } from './machine.js'
import type { Look, Outside } from './outside.js'

export interface World extends Outside {
  close(): Promise<void>
}

/** Where QEMU's network shows the host's own loopback. */
const HOST_IN_MACHINE = '10.0.2.2'
const CODE_MS = 60_000
const REPLY_MS = 60_000
const BAUD = 9600

/** The shop opens while the machine starts, where there is to be one. */
export async function createWorld(machine: Machine, folder: string, withShop: boolean): Promise<World> {
  const { qmp, port, adapter } = machine
  const opening = withShop ? openShop(join(folder, 'shop')) : Promise.reject<Workbench>(new Error('nobody opened a shop'))
  opening.catch(() => undefined) // Told to whoever needs it.
  const serial = await openSerial(port)
  await loadReader()
  let looks = 0

  async function look(): Promise<Look> {
    const file = join(folder, `look-${looks++}.png`)
    await qmp.run('screendump', { filename: file, format: 'png', device: 'panel' })
    const seen = await readPicture(file)
    if (looks > 3) await rm(join(folder, `look-${looks - 4}.png`), { force: true }) // The last ones are for a person's eye.
    return seen
  }

  return {
    look,
    async press(keys) {
      for (const key of keys) {
        for (const down of [true, false]) {
          await qmp.run('input-send-event', { events: [{ type: 'key', data: { down, key: { type: 'qcode', data: key } } }] })
          await pause(FINGER_MS)
        }
      }
    },
    plug: machine.plug,
    unplug: machine.unplug,
    async awaitCode() {
      for (const by = Date.now() + CODE_MS; Date.now() < by;) {
        const { code } = await look()
        if (code !== undefined) return code
        await pause(250)
      }
      throw new Error(`no code on the panel in ${CODE_MS} ms`)
    },
    async shop() {
      await opening
      return papersOf(join(folder, 'shop'))
    },
    async pay(code) {
      const { sandboxUrl } = await opening
      const response = await fetch(`${sandboxUrl}/sandbox/wallet/pay`, {
        method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ payload: code, outcome: 'paid' }),
        signal: AbortSignal.timeout(20_000),
      })
      if (!response.ok) throw new Error(`the wallet answered ${response.status}: ${await response.text()}`)
      return String((await response.json() as Record<string, unknown>)['charge'])
    },
    async ringUp({ line, text }) {
      const wire = line === 'port' ? serial : adapter
      const reply = firstLine(wire)
      wire.write(text)
      return reply
    },
    async readGlass({ model: name, wires }) {
      const model = modelNamed(name)
      const code = await readBack(upright(await pictureOn(model, wires), model.visibleWidthPx, 0))
      if (code === undefined) throw new Error('the glass has no code that can be read')
      return code
    },
    async close() {
      await opening.then((shop) => shop.close(), () => undefined) // One that never opened was told before.
      if (serial.isOpen) await new Promise<void>((resolve) => { serial.close(() => { resolve() }) })
    },
  }
}

/** The terminal has a profile of its own; this one is never used. */
async function openShop(folder: string): Promise<Workbench> {
  const shop = await openWorkbench({
    folder, country: 'TH', currency: 'THB', method: 'alipayplus_mpm', shopName: 'Baan Kafae', pollSeconds: 1,
    profile: () => Profile.parse({ panel: { driver: 'png', directory: 'unused', widthPx: 400, heightPx: 300, pitchMm: 0.2 } }),
  })
  await Promise.all([shop.sandbox.start(), shop.gateway.start()])
  return shop
}

/** A key is down for so long, and up before the next. The controller asks a keyboard every 10 ms of the machine's own time. */
const FINGER_MS = 60

async function openSerial(path: string): Promise<SerialPort> {
  const serial = new SerialPort({ path, baudRate: BAUD, autoOpen: false })
  await new Promise<void>((resolve, reject) => { serial.open((error) => { if (error == null) resolve(); else reject(error) }) })
  return serial.on('error', () => undefined) // The machine ends and takes the line along.
}

/** Anything said before now is not the answer. */
function firstLine(wire: NodeJS.ReadableStream): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const end = (): void => {
      clearTimeout(late)
      wire.off('data', take)
    }
    const take = (bytes: Buffer): void => {
      text += bytes.toString('latin1')
      const [line, ...more] = text.split('\r\n')
      if (line === undefined || more.length === 0) return
      end()
      resolve(line)
    }
    const late = setTimeout(() => {
      end()
      reject(new Error(`the register heard no whole line in ${REPLY_MS} ms, only ${JSON.stringify(text)}`))
    }, REPLY_MS)
    wire.on('data', take)
  })
}

/** QEMU answers before the file is whole. */
async function readPicture(file: string): Promise<Look> {
  for (const by = Date.now() + 10_000; ;) {
    try {
      return await seenIn(file)
    } catch (error) {
      if (Date.now() > by) throw error
      await pause(20)
    }
  }
}

async function seenIn(file: string): Promise<Look> {
  const image = await loadImage(await readFile(file))
  const canvas = createCanvas(image.width, image.height).getContext('2d')
  canvas.drawImage(image, 0, 0)
  const picture = canvas.getImageData(0, 0, image.width, image.height)
  const [code] = await readBarcodes({ ...picture, data: picture.data, width: picture.width, height: picture.height, colorSpace: 'srgb' },
    { formats: ['QRCode'] })
  let dark = 0
  for (let at = 0; at < picture.data.length; at += 4) if ((picture.data[at] ?? 0) < 128) dark++
  const fingerprint = createHash('sha256').update(picture.data).digest('hex').slice(0, 16)
  return { ...(code === undefined ? {} : { code: code.text }), dark: dark / (image.width * image.height), fingerprint }
}

async function papersOf(folder: string): Promise<{ site: object; identity: object }> {
  const read = async (name: string): Promise<object> => JSON.parse(await readFile(join(folder, name), 'utf8')) as object // Ours, just written.
  const identity = await read('identity.json') as { broker: { url: string } }
  const broker = { ...identity.broker, url: identity.broker.url.replace('127.0.0.1', HOST_IN_MACHINE) }
  return { site: await read('site.json'), identity: { ...identity, broker } }
}
