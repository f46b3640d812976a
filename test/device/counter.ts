/**
 * A counter with a terminal on it: the real shell, a real renderer and the real read-back, with fakes for what stands around
 * them. Tests of the shell all begin with this.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, vi } from 'vitest'
import type { Journal } from '../../device/journal.js'
import type { Amount } from '../../device/protocol/money.js'
import { readBack } from '../../device/qr.js'
import { createRenderer, type Renderer } from '../../device/render.js'
import type { Recorded, Terms } from '../../device/sale.js'
import { createTerminal, type Terminal } from '../../device/terminal.js'
import type { View } from '../../device/view.js'
import type { LampPattern, NamedSource, Release } from '../../drivers/driver.js'
import { createParts } from '../../drivers/parts.js'
import { createFakeClock } from '../fakes/clock.js'
import { CHARGE, createFakeLink } from '../fakes/link.js'
import { createFakePanel, PANEL_SIZE } from '../fakes/panel.js'
import { createFakeSource } from '../fakes/source.js'

export const PAYLOAD = 'https://order.example/28100202020000000000000000000001'
export const SALE = '01931e7c-0000-7000-8000-000000000001'
export const PAID = { outcome: 'paid', paidAt: '2026-01-01T00:00:00Z' } as const
export const UNPAID = { outcome: 'unpaid', reason: 'payment_rejected' } as const
export const shop = { shopName: 'Baan Kafae', language: 'en', country: 'TH', currency: 'THB', method: 'alipayplus_mpm' } as const
export const opened = {
  phase: 'presenting',
  sale: { id: SALE, nonce: 'a'.repeat(32), amount: { minor: 2_500, currency: 'THB' }, method: 'alipayplus_mpm', askedBy: 'register' },
  offer: { charge: CHARGE, payload: PAYLOAD, counter: 1 },
} as const satisfies Recorded

export interface Counter {
  readonly journalHolds?: Recorded
  /** Throws instead of recording, from now on, when it says so. */
  readonly journalBroken?: () => boolean
  readonly bend?: (renderer: Renderer) => Renderer
  readonly terms?: Partial<Terms>
  readonly release?: (order: string[]) => Release
  /** What the box's buttons cost; without it there are none. */
  readonly prices?: ReadonlyMap<string, Amount>
}

/** A counter with a terminal on it. `order` is what happened in the world, in order. */
export function setUp({ journalHolds = { phase: 'idle' }, journalBroken = () => false, bend = (renderer) => renderer, terms, release, prices }: Counter = {}) {
  const order: string[] = []
  const lamps: LampPattern[] = []
  const clock = createFakeClock()
  const panel = createFakePanel(() => { order.push('panel') })
  const keypad = createFakeSource()
  const buttons = createFakeSource()
  const register = createFakeSource((answer) => { order.push(`answer ${answer.answer}`) })
  const link = createFakeLink(({ type }) => { order.push(`send ${type}`) })
  const said: string[] = []
  const fatal = vi.fn((_error: unknown) => { order.push('fatal') })
  let last = journalHolds
  let minted = 0
  const journal: Journal = {
    epoch: 1, damaged: undefined, forgot: false,
    last: () => last,
    record(recorded) {
      if (journalBroken()) throw new Error('disk full')
      order.push(`record ${recorded.phase}`)
      last = recorded
    },
    close: () => undefined,
  }
  const log = pino({}, { write: (line) => { said.push(line) } })
  const parts = createParts(log)
  const screens: View[] = []
  const renderer = bend(createRenderer({ size: PANEL_SIZE, ...shop }))
  const sources: readonly NamedSource[] = [
    { kind: 'keypad', part: 'keypad', source: keypad }, { kind: 'register', part: 'register', source: register },
    ...(prices === undefined ? [] : [{ kind: 'keypad', part: 'buttons', source: buttons } as const]),
  ]
  const terminal = createTerminal({
    hardware: {
      sources, panel, parts, release: release?.(order),
      lamps: { show: (pattern) => { lamps.push(pattern) }, close: () => Promise.resolve() },
    },
    journal, link,
    renderer: {
      ...renderer,
      render(view) {
        screens.push(view)
        return renderer.render(view)
      },
    },
    terms: { currency: 'THB', method: 'alipayplus_mpm', ...terms }, ...(prices === undefined ? {} : { prices }), clock, wallMs: () => 0, fatal,
    mint: { id: () => `01931e7c-0000-7000-8000-${String(++minted).padStart(12, '0')}`, nonce: () => 'a'.repeat(32) },
    log,
  })
  return { terminal, order, lamps, clock, panel, keypad, buttons, register, link, fatal, said, parts, screens, journalHolds: () => last }
}

export async function open(options: Counter = {}) {
  const counter = setUp(options)
  await counter.terminal.start()
  counter.link.comeUp()
  await drawn(counter)
  return counter
}

/** Waits until the panel has nothing left to draw: the same number of pictures for a while. */
export async function drawn({ panel }: { panel: { readonly drawn: readonly unknown[] } }): Promise<void> {
  for (let before = -1; before !== panel.drawn.length;) {
    before = panel.drawn.length
    await sleep(40)
  }
}
export const phaseOf = (terminal: Terminal): string => terminal.status().phase
export const codeOn = async ({ panel }: ReturnType<typeof setUp>): Promise<string | undefined> => {
  const frame = panel.visible()
  return frame === undefined ? undefined : await readBack(frame)
}
export const shown = (counter: ReturnType<typeof setUp>) => expect.poll(() => codeOn(counter), { timeout: 5_000 })

