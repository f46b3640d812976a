/**
 * The people before the panels: a customer who asks for something at a terminal and then pays, pays late, presses
 * Cancel, does both at once, is rejected by the bank, or walks away. They know only what can be seen and pressed.
 */
import { spawn } from 'node:child_process'
import { constants, existsSync, openSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import type { Chance } from './chance.js'
import { DIES_WITH_ITS_PARENT } from './machine.js'
import type { Premises, Terminal } from './premises.js'
import { comesTrue, eventually } from './program.js'

/** Most people just pay. */
export const HABITS = [
  'pays', 'pays', 'pays', 'pays slowly', 'cancels', 'cancels and pays', 'walks away', 'pays late', 'is rejected',
] as const
export type Habit = (typeof HABITS)[number]

/** socat needs a moment to make a line. */
const LINE_MS = 5_000

/** A register at its end of a line, which stays there whatever becomes of the terminal. */
export interface Register {
  readonly terminalEnd: string
  readonly heard: readonly string[]
  say(line: string): void
}

/** The line is a real one, made by socat; it ends with this process. */
export async function openRegister(terminalEnd: string): Promise<Register> {
  const heard: string[] = []
  const socat = spawn('setpriv', [...DIES_WITH_ITS_PARENT, 'socat', `pty,raw,echo=0,link=${terminalEnd}`, 'stdio'], {
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  createInterface(socat.stdout).on('line', (line) => { if (line.trim() !== '') heard.push(line.trim()) })
  if (!await comesTrue(() => existsSync(terminalEnd), LINE_MS)) throw new Error(`socat made no line at ${terminalEnd}`)
  openSync(terminalEnd, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK) // Else socat ends when the terminal does.
  return { terminalEnd, heard, say: (text) => { socat.stdin.write(`${text}\r\n`) } }
}

export interface Visit {
  readonly premises: Premises
  readonly terminal: Terminal
  readonly register: Register | undefined
  readonly chance: Chance
  readonly codeLifetimeMs: number
  /** What goes on after the customer left. */
  readonly errands: Promise<unknown>[]
}

/** How long people wait: for something to happen on the panel before they press again, and at all. */
const ASK_AGAIN_MS = 1_500
const ASKS_MAX = 8
const PATIENCE_MS = 6_000

/** One customer from asking to leaving; true when a code was seen at all. */
export async function visit(
  { premises, terminal, register, chance, codeLifetimeMs, errands }: Visit, habit: Habit,
): Promise<boolean> {
  const payload = await askForACode(terminal, register, chance.between(2_000, 99_999))
  if (payload === undefined) return false

  const cancel = (): void => { if (register === undefined) terminal.program.life?.type('x'); else register.say('CANCEL') }
  const pay = async (outcome: string): Promise<void> => {
    // The bank may be down, the code may have ended: a phone tries a few times and gives up.
    await eventually(async () => {
      const status = await premises.pay(payload, outcome).catch(() => 500)
      return status >= 500 ? undefined : status
    }, PATIENCE_MS)
  }
  switch (habit) {
    case 'pays': await pay('paid'); break
    case 'is rejected': await pay(chance.pick(['payment_rejected', 'insufficient_fund', 'failed_processing'])); break
    case 'pays slowly': await pause(chance.between(500, 3_000)); await pay('paid'); break
    case 'cancels': await pause(chance.between(0, 1_000)); cancel(); break
    case 'cancels and pays': {
      const paying = pause(chance.between(0, 100)).then(() => pay('paid'))
      cancel()
      await paying
      break
    }
    case 'walks away': break
    case 'pays late': // Of a photograph, when the next customer may be standing there already.
      errands.push(pause(chance.between(0, codeLifetimeMs + 5_000)).then(() => pay('paid')))
      cancel()
      break
  }
  // A customer who left waits for nothing; the others see the code go.
  await eventually(async () => (await terminal.look() === payload ? undefined : true), codeLifetimeMs + PATIENCE_MS)
  return true
}

/** Whoever sees nothing happen asks again; a register asks for the same amount. */
async function askForACode(terminal: Terminal, register: Register | undefined, minor: number): Promise<string | undefined> {
  for (let asks = 0; asks < ASKS_MAX; asks++) {
    if (register === undefined) terminal.program.life?.type(`c${minor}\n`)
    else register.say((minor / 100).toFixed(2))
    const payload = await eventually(() => terminal.look(), ASK_AGAIN_MS)
    if (payload !== undefined) return payload
  }
  return undefined
}
