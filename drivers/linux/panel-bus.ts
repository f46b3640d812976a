/**
 * The wires of an e-ink panel on a Linux board: SPI through `spi-device` (loaded only when wanted), control lines by GPIO.
 *
 *   MOSI, SCLK, CE0 ── /dev/spidev0.0        D/C  low: a command, high: its data
 *   RST  low: held     BUSY  its level       PWR  high, on boards that have it
 *
 * It knows no register. A transfer that does not end within a second is a failure.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { SpiDevice, SpiOptions } from 'spi-device'
import { DriverError } from '../driver.js'
import type { PanelBus } from '../panel/eink-chip.js'
import { type GpioOptions, openInput, openOutput } from './gpio.js'

export interface PanelWires {
  /** /dev/spidev<bus>.<chipSelect> */
  readonly spi: { readonly bus: number; readonly chipSelect: number; readonly speedHz?: number }
  /** BCM numbers. */
  readonly pins: { readonly reset: number; readonly dc: number; readonly busy: number; readonly power?: number | undefined }
}

export interface PanelBusTools {
  readonly gpio?: GpioOptions
  readonly openSpi?: OpenSpi
}

export type SpiLine = Pick<SpiDevice, 'transfer' | 'close'>
export type OpenSpi = (bus: number, chipSelect: number, options: SpiOptions) => Promise<SpiLine>

/** A long wire and a short one alike; the controllers take 10 MHz and more. */
const SPEED_HZ = 4_000_000
/** spidev's own limit, unless its `bufsiz` was raised. */
const TRANSFER_BYTES_MAX = 4_096
const TRANSFER_MS_MAX = 1_000
/** Until the panel's supply stands. */
const POWER_MS = 20

/** Rejects with PANEL_OPEN_FAILED or GPIO_FAILED; what was open by then is closed again. */
export async function openPanelBus({ spi, pins }: PanelWires, { gpio = {}, openSpi = openSpiDevice }: PanelBusTools = {}): Promise<PanelBus> {
  const path = `/dev/spidev${spi.bus}.${spi.chipSelect}`
  const speedHz = spi.speedHz ?? SPEED_HZ
  const opened: (() => void | Promise<void>)[] = []
  /** All of it, whatever one of them says. */
  const close = async (): Promise<void> => {
    const failed: unknown[] = []
    for (const closeOne of opened.splice(0).reverse()) {
      try {
        await closeOne()
      } catch (error) {
        failed.push(error)
      }
    }
    if (failed.length > 0) throw failed[0]
  }
  const line = await openSpi(spi.bus, spi.chipSelect, { mode: 0, maxSpeedHz: speedHz }).catch((error: unknown) => {
    throw new DriverError('PANEL_OPEN_FAILED', `${path} ${remedy(error)}`, error)
  })
  opened.push(() => ended((done) => line.close(done), `${path} did not close`))

  const output = async (bcm: number, level: 0 | 1) => {
    const opening = await openOutput(bcm, level, gpio)
    opened.push(() => opening.close())
    return opening
  }
  try {
    const busy = await openInput(pins.busy, gpio)
    opened.push(() => busy.close())
    const power = pins.power === undefined ? undefined : await output(pins.power, 1)
    const dc = await output(pins.dc, 0)
    const reset = await output(pins.reset, 1)
    if (power !== undefined) {
      // A panel without supply must not live on what its control lines give.
      opened.push(() => { for (const one of [reset, dc, power]) one.set(0) })
      await sleep(POWER_MS)
    }
    const send = (bytes: Uint8Array): Promise<void> => transfer(line, bytes, speedHz, path)
    return {
      hold: async (held) => reset.set(held ? 0 : 1),
      async command(command, data) {
        dc.set(0)
        await send(Uint8Array.of(command))
        if (data === undefined || data.length === 0) return
        dc.set(1)
        await send(data)
      },
      busy: async () => busy.level(),
      close,
    }
  } catch (error) {
    await close().catch(() => undefined) // What did not open is what a person must hear of.
    throw error
  }
}

async function transfer(line: SpiLine, bytes: Uint8Array, speedHz: number, path: string): Promise<void> {
  for (let from = 0; from < bytes.length; from += TRANSFER_BYTES_MAX) {
    const chunk = bytes.subarray(from, from + TRANSFER_BYTES_MAX)
    const sendBuffer = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length)
    await ended((done) => line.transfer([{ byteLength: chunk.length, sendBuffer, speedHz }], done), `${path} did not take ${chunk.length} bytes`)
  }
}

/** Waits for a callback, and no longer than a transfer may take. */
function ended(begin: (done: (error: Error | null | undefined) => void) => void, failure: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (why: string, cause?: unknown): void => reject(new DriverError('PANEL_WRITE_FAILED', `${failure} (${why})`, cause))
    const timer = setTimeout(() => failed(`no answer in ${TRANSFER_MS_MAX} ms`), TRANSFER_MS_MAX)
    begin((error) => {
      clearTimeout(timer)
      if (error == null) resolve()
      else failed(error.message, error)
    })
  })
}

async function openSpiDevice(bus: number, chipSelect: number, options: SpiOptions): Promise<SpiLine> {
  const { default: spi } = await import('spi-device') // Its own names are hidden from the modules of Node.
  return new Promise((resolve, reject) => {
    const device = spi.open(bus, chipSelect, options, (error) => {
      if (error == null) resolve(device)
      else reject(error)
    })
  })
}

function remedy(error: unknown): string {
  switch (error instanceof Error && 'code' in error ? error.code : undefined) {
    case 'ENOENT':
    case 'ENXIO':
    case 'ENODEV': return 'is not there: put dtparam=spi=on into config.txt and start again'
    case 'EACCES':
    case 'EPERM': return 'is not permitted: the user of this program must be in the group spi'
    case 'EBUSY': return 'is taken by another program'
    default: return `cannot be opened (${error instanceof Error ? error.message : String(error)})`
  }
}
