/** What the machine runs: every check, one after the other, each told to the host as it ends. */
import { setTimeout as pause } from 'node:timers/promises'
import { openLink } from './link.js'
import { plugInBoard, type SimulatedBoard } from './board.js'
import type { Bench, Check } from './check.js'
import { gpioChecks } from './checks/gpio.js'
import { keypadChecks } from './checks/keypad.js'
import { panelChecks } from './checks/panel.js'
import { registerChecks } from './checks/register.js'
import { saleChecks } from './checks/sale.js'

const CHECK_MS = 120_000

const checks: readonly Check[] = [...gpioChecks, ...keypadChecks, ...panelChecks, ...registerChecks, ...saleChecks]

const { outside, begin, tell } = openLink()
const { label, only, matching } = await begin
const board = boardOrNone(label)
const bench: Bench = { outside, board, measure: (text) => { tell({ say: 'measure', text }) } }

for (const { name, of, run } of checks) {
  if ((only === 'drivers' && of !== 'driver') || !name.includes(matching)) continue
  const failure = await failureOf(run)
  tell({ say: 'check', name, ...(failure === undefined ? {} : { failure }) })
}
tell({ say: 'end' })

async function failureOf(run: Check['run']): Promise<string | undefined> {
  const done = new AbortController()
  const late = pause(CHECK_MS, undefined, { signal: done.signal }).then(() => { throw new Error(`not done in ${CHECK_MS} ms`) })
  late.catch(() => undefined) // Called off.
  try {
    await Promise.race([run(bench), late])
    return undefined
  } catch (error) {
    return error instanceof Error ? error.stack ?? error.message : String(error)
  } finally {
    done.abort()
  }
}

/** On a machine without gpio-sim the checks of GPIO find out by themselves. */
function boardOrNone(name: string): SimulatedBoard {
  try {
    return plugInBoard(name)
  } catch (error) {
    const missing = (): never => { throw new Error('this machine has no gpio-sim', { cause: error }) }
    return { get base() { return missing() }, pull: missing, level: missing, trace: missing }
  }
}
