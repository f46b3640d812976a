/**
 * Lights: a line of the header, or a light that the kernel drives (dtoverlay=gpio-led,gpio=17,label=pay-ok), which costs no
 * line and may have brightness.
 *
 *   /sys/class/leds/pay-ok/{brightness,max_brightness,trigger}
 *
 * The kernel blinks such lights by itself, for a trigger; ours is taken from its trigger, and does not get it back.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DriverError } from '../driver.js'
import { type GpioOptions, openSafeOutput, type Wire } from './gpio.js'
import { codeOf } from './gpio-line.js'

/** A light on a line of the header, or one of the kernel's by its name. */
export type LightWire = Wire | { readonly led: string }

export interface LightOptions extends GpioOptions {
  /** Where the kernel's lights are. */
  readonly leds?: string
}

/** Lights that are closed, or that fail, throw GPIO_FAILED or LAMP_FAILED; they may be closed twice. */
export interface Light {
  /** 0 off .. 1 full; a light without brightness takes anything above 0 as on. */
  set(brightness: number): void
  readonly dimmable: boolean
  /** Off, and given back. */
  close(): void
}

const LEDS = '/sys/class/leds'

/** Off from the first moment. Rejects with GPIO_FAILED or LAMP_FAILED. */
export async function openLight(light: LightWire, options: LightOptions = {}): Promise<Light> {
  if ('led' in light) return openLed(light.led, options.leds ?? LEDS)
  const output = await openSafeOutput(light, options)
  return { dimmable: false, set: (brightness) => output.set(brightness > 0), close: () => output.close() }
}

/** Drives to off what a program that is gone left on, and gives it back; one sentence for each that stays as it is. */
export async function driveSafe(lights: readonly LightWire[], options: LightOptions = {}): Promise<readonly string[]> {
  const failures: string[] = []
  for (const light of lights) {
    try {
      const opened = await openLight(light, options)
      opened.close()
    } catch (error) {
      failures.push(error instanceof Error ? error.message : String(error))
    }
  }
  return failures
}

async function openLed(name: string, leds: string): Promise<Light> {
  const folder = join(leds, name)
  const brightness = join(folder, 'brightness')
  const attempt = async <T>(use: Promise<T>): Promise<T> => use.catch((error: unknown) => {
    throw new DriverError('LAMP_FAILED', `light ${name} ${remedy(error, folder)}`, error)
  })
  const full = Number((await attempt(readFile(join(folder, 'max_brightness'), 'utf8'))).trim())
  if (!Number.isInteger(full) || full < 1) throw new DriverError('LAMP_FAILED', `light ${name} has a max_brightness of ${full}`)
  await attempt(takeFromTrigger(join(folder, 'trigger')))
  await attempt(writeFile(brightness, '0'))

  let closed = false
  const set = (wanted: number): void => {
    if (closed) throw new DriverError('LAMP_FAILED', `light ${name} could not be set: it is closed`)
    try {
      writeFileSync(brightness, String(stepOf(wanted, full)))
    } catch (error) {
      throw new DriverError('LAMP_FAILED', `light ${name} could not be set (${codeOf(error)})`, error)
    }
  }
  return {
    dimmable: full > 1,
    set,
    close() {
      if (closed) return
      try {
        set(0)
      } finally {
        closed = true
      }
    },
  }
}

/** 0..full; whatever is above 0 can be seen. */
function stepOf(brightness: number, full: number): number {
  if (!(brightness > 0)) return 0
  return Math.min(full, Math.max(1, Math.round(brightness * full)))
}

/** `none [mmc0] heartbeat`: the one in brackets is set. Kernels without triggers have no such file. */
async function takeFromTrigger(path: string): Promise<void> {
  const triggers = await readFile(path, 'utf8').catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return '[none]'
    throw error
  })
  if (!triggers.includes('[none]')) await writeFile(path, 'none')
}

function remedy(error: unknown, folder: string): string {
  switch (codeOf(error)) {
    case 'ENOENT': return `is not there: put dtoverlay=gpio-led with its label into config.txt, so that there is ${folder}`
    case 'EACCES':
    case 'EPERM': return `is not permitted: a udev rule must give ${folder}/brightness and trigger to a group of this program's user`
    default: return `cannot be used (${error instanceof Error ? error.message : String(error)})`
  }
}
