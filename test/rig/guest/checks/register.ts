/** A cash register on a serial port of the board, and on a USB adapter that is pulled out. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { createSerialRegister } from '../../../../drivers/ecr/serial.js'
import type { Line } from '../../outside.js'
import { type Bench, type Check, driverCheck, eventually, listener, LOG, now } from '../check.js'

const BY_ID = '/dev/serial/by-id'

export const registerChecks: readonly Check[] = [
  driverCheck('a register on the board\'s serial port asks for 150.00 and hears how it ended', async ({ outside }) => {
    const { heard, register } = await connect('/dev/ttyS1')
    await ringUp(outside, 'port', heard, register)
    await register.stop()
  }),

  driverCheck('a register\'s USB adapter is pulled out while nobody speaks, and found again by its id', async ({ outside }) => {
    const path = join(BY_ID, await eventually('the adapter', adapterNow, (name) => name !== undefined) ?? '')
    const { heard, register } = await connect(path)
    await ringUp(outside, 'adapter', heard, register)
    await outside.unplug('adapter')
    await eventually('the loss', () => heard.reports.at(-1), (fault) => fault !== undefined)
    await outside.plug('adapter')
    await eventually('the return', () => heard.reports.at(-1), (fault) => fault === undefined)
    await ringUp(outside, 'adapter', heard, register)
    await register.stop()
  }),
]

const adapterNow = (): string | undefined => {
  try {
    return readdirSync(BY_ID)[0]
  } catch {
    return undefined // udev removes the folder with the last name in it.
  }
}

async function connect(path: string) {
  const heard = listener()
  const register = createSerialRegister({ path, baud: 9600, report: heard.report, log: LOG, now, random: Math.random })
  await register.start(heard.deliver)
  await eventually('the line', () => heard.reports.length, (length) => length > 0)
  return { heard, register }
}

type Connected = Awaited<ReturnType<typeof connect>>

async function ringUp(outside: Bench['outside'], line: Line, heard: Connected['heard'], register: Connected['register']): Promise<void> {
  const before = heard.inputs.length
  const reply = outside.ringUp({ line, text: '150.00\r\n' })
  reply.catch(() => undefined) // Told below, unless something else is told before.
  await eventually('the amount', () => heard.inputs.slice(before), (inputs) => inputs.length > 0)
  await register.answer({ answer: 'ok', amount: '150.00', sale: 'sale-1', charge: 'chrg-1' })
  assert.deepEqual(heard.inputs.slice(before), [{ type: 'amount asked', amount: '150.00' }])
  assert.equal(await reply, 'OK 150.00 sale-1 chrg-1')
}
