/** Keypads through drivers/keypad/usb.ts: a USB keyboard that is typed on from outside, and one of another shape by uhid. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Input } from '../../../../drivers/driver.js'
import { createUsbKeypad, type UsbKeypadOptions } from '../../../../drivers/keypad/usb.js'
import { eachLine } from '../../lines.js'
import { alarm, type Check, driverCheck, eventually, listener, LOG, now } from '../check.js'
import { eavesdrop } from '../eavesdropper.js'
import { plugInUhidKeypad } from '../uhid.js'

const DIGITS = ['1', '2', '3', '4', 'ret']
/** The ports that machine.ts plugs them into. */
const FIRST = '1-1', TWIN = '1-2'
const UHID = { vendor: 0x1c4f, product: 0x0002 }

export const keypadChecks: readonly Check[] = [
  driverCheck('keys of a USB keypad arrive once each, and nobody else on the machine gets them', ({ outside }) =>
    withKeypad({ device: 'only', exclusive: true }, async (heard) => {
      const eavesdropper = await eavesdrop()
      await outside.press(DIGITS)
      await eventually('Enter', () => heard.typed(), (typed) => typed.includes('E'))
      const overheard = await eavesdropper.end()
      assert.equal(heard.typed(), '1234E')
      assert.deepEqual(overheard, { keys: [], console: '' })
    })),

  driverCheck('without taking it from the kernel the same keys are typed on the console: the eavesdropper can hear', ({ outside }) =>
    withKeypadAlone({ device: 'only', exclusive: false }, async (heard) => {
      const eavesdropper = await eavesdrop()
      await outside.press(DIGITS)
      await eventually('Enter', () => heard.typed(), (typed) => typed.includes('E'))
      const overheard = await eavesdropper.end()
      assert.equal(heard.typed(), '1234E')
      assert.deepEqual({ keys: overheard.keys.length, console: overheard.console }, { keys: DIGITS.length, console: '1234\n' })
    })),

  driverCheck('a keypad that is pulled out between two digits is missed, and the amount goes on when it is there again', ({ outside }) =>
    withKeypad({ device: 'only', exclusive: true }, async (heard) => {
      await outside.press(['kp_1', 'kp_2'])
      await eventually('two digits', () => heard.typed(), (typed) => typed === '12')
      for (const next of ['3', '4']) {
        await outside.unplug('keypad')
        await eventually('the loss', () => heard.reports.at(-1), (fault) => fault !== undefined)
        await outside.plug('keypad')
        await eventually('the return', () => heard.reports.at(-1), (fault) => fault === undefined)
        await outside.press([`kp_${next}`])
        await eventually('a digit', () => heard.typed(), (typed) => typed.endsWith(next))
      }
      assert.equal(heard.typed(), '1234')
    })),

  driverCheck('of two keypads alike neither is taken for the only one, and each can be chosen by its port', async ({ outside }) => {
    await outside.plug('twin keypad')
    try {
      await eventually('both', () => [FIRST, TWIN].map(isKeyboardAt), (are) => are.every(Boolean))
      execFileSync('/run/udevadm', ['settle', '--timeout=20']) // libusb hears of it from udev.
      await whileRunning({ device: 'only', exclusive: true }, async (heard) => {
        const fault = await eventually('the doubt', () => heard.reports.at(-1), (said) => said?.includes(TWIN) === true)
        assert.ok(fault?.includes(FIRST), fault)
      })
      for (const port of [FIRST, TWIN]) await withKeypad({ device: { port }, exclusive: true }, () => pause(1))
    } finally {
      await outside.unplug('twin keypad')
    }
  }),

  driverCheck('a keypad with reports of 9 bytes and keys for 00 and 000', async () => {
    const keypad = plugInUhidKeypad(UHID)
    await withKeypadAlone({ device: { vendor: '1c4f', product: '0002' }, exclusive: false }, async (heard) => {
      for (const [index, key] of [0x5a, 0xb0, 0xb1, 0x58].entries()) {
        keypad.report(key)
        keypad.report(key) // Some pads say everything twice.
        await eventually(`key ${index + 1}`, () => heard.inputs.length, (length) => length === index + 1)
        keypad.report()
      }
      keypad.unplug()
      await eventually('the loss', () => heard.reports.at(-1), (fault) => fault !== undefined)
      assert.deepEqual(heard.inputs.map((input) => (input.type === 'digit pressed' ? input.digit : input.type)), ['2', '00', '000', 'enter pressed'])
    })
  }),
]

/** The kernel has read what it is. */
function isKeyboardAt(port: string): boolean {
  const at = `/sys/bus/usb/devices/${port}:1.0`
  return existsSync(at) && readdirSync(at).some((name) => name.startsWith('0003:'))
}

type Which = Pick<UsbKeypadOptions, 'device' | 'exclusive'>
type Heard = ReturnType<typeof listener>
type Use = (heard: Heard) => Promise<void>

/** In this process; whatever happens, the keypad is the kernel's again afterwards. */
async function whileRunning(which: Which, use: Use): Promise<void> {
  const heard = listener()
  const keypad = createUsbKeypad({ ...which, log: LOG, now, alarm, report: heard.report })
  await keypad.start(heard.deliver)
  try {
    await use(heard)
  } finally {
    await keypad.stop()
  }
}

/** Once it is open. */
const withKeypad = (which: Which, use: Use): Promise<void> => whileRunning(which, async (heard) => {
  await eventually('the keypad', () => heard.reports, isOpen)
  await use(heard)
})

/** In a process of its own. */
async function withKeypadAlone(which: Which, use: Use): Promise<void> {
  const heard = listener()
  const child = spawn(process.execPath, [fileURLToPath(new URL('../keypad-alone.js', import.meta.url)), JSON.stringify(which)],
    { stdio: ['ignore', 'pipe', 'inherit'] })
  eachLine(child.stdout, (line) => {
    const said = JSON.parse(line) as { input: Input } | { fault: string } // Written by keypad-alone.ts.
    if ('input' in said) heard.deliver(said.input)
    else heard.report(said.fault === 'none' ? undefined : said.fault)
  })
  try {
    await eventually('the keypad', () => heard.reports, isOpen)
    await use(heard)
  } finally {
    child.kill()
    await once(child, 'exit')
  }
}

/** The last word is that nothing is wrong. */
const isOpen = (reports: readonly (string | undefined)[]): boolean => reports.length > 0 && reports.at(-1) === undefined
