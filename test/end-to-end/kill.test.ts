// kill -9 of each program at each moment of a sale, then a restart: the sale ends with the right word everywhere.
import { setTimeout as pause } from 'node:timers/promises'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { LogRecord, ProgramName } from '../../scripts/workbench.js'
import { createShop, payWheneverACodeIsShown, type Shop } from './shop.js'

vi.setConfig({ testTimeout: 180_000 })

let shop: Shop
afterEach(async () => { await shop.close() })

const MOMENTS: Readonly<Record<string, (record: LogRecord) => boolean>> = {
  'the sale is journalled': ({ program, msg, fields }) => program === 'terminal' && msg === 'sale step' && fields['to'] === 'opening',
  'the intent is on disk': ({ program, msg, fields }) => program === 'gateway' && msg === 'charge step' && fields['to'] === 'intent',
  'the charge is made': ({ program, msg }) => program === 'sandbox' && msg === 'charge created',
  'the code is shown': ({ program, msg }) => program === 'terminal' && msg === 'code shown',
  'the bank took the money': ({ program, msg }) => program === 'sandbox' && msg === 'charge completed',
  'the gateway knows': ({ program, msg, fields }) => program === 'gateway' && msg === 'charge step' && fields['to'] === 'paid',
}

const VICTIMS: readonly ProgramName[] = ['terminal', 'gateway', 'sandbox']

describe.each(VICTIMS)('kill -9 of the %s', (victim) => {
  it.each(Object.entries(MOMENTS))('when %s', async (_name, moment) => {
    shop = await createShop()
    await shop.open()
    const customer = payWheneverACodeIsShown(shop)
    shop.terminal.type('2500\n')

    await shop.until(moment)
    await shop[victim].kill('SIGKILL')
    await shop[victim].start()

    await settled(shop)
    customer.leave()
    await expectTheRightWordEverywhere(shop)
  })
})

describe('a customer with a photograph of the code', () => {
  it('pays while the terminal is dead, and the terminal says PAID when it is back', async () => {
    shop = await createShop()
    await shop.open()
    shop.terminal.type('2500\n')
    await shop.until(({ msg }) => msg === 'code shown')
    const payload = await shop.look()
    await shop.terminal.kill('SIGKILL')
    await shop.wallet('pay', { payload, outcome: 'paid' })
    await shop.terminal.start()
    await settled(shop)
    expect((await shop.audit()).terminal.at(-1)).toMatchObject({ outcome: 'paid' })
    await expectTheRightWordEverywhere(shop)
  })

  it('cannot pay any more once a terminal that never came back has lost its lease', async () => {
    shop = await createShop({ codeLifetimeSeconds: 10 })
    await shop.open()
    shop.terminal.type('2500\n')
    await shop.until(({ msg }) => msg === 'code shown')
    const payload = await shop.look()
    await shop.terminal.kill('SIGKILL')
    await shop.until(({ program, msg, fields }) => program === 'gateway' && msg === 'charge step' && fields['to'] === 'closed', 60_000)
    await expect(shop.wallet('pay', { payload, outcome: 'paid' })).rejects.toThrow('409')
  })
})

/** The terminal has a last word for the sale and the gateway waits for nothing. */
async function settled(shop: Shop): Promise<void> {
  await shop.until(({ program, msg }) => program === 'terminal' && msg === 'sale ended', 90_000)
  for (let tries = 0; tries < 300; tries++) {
    const { bank, terminal } = await shop.audit()
    const words = new Set(terminal.map(({ outcome }) => outcome))
    if (terminal.length > 0 && words.size === 1 && bank.every(({ status }) => status !== 'pending')) return
    await pause(100)
  }
}

async function expectTheRightWordEverywhere(shop: Shop): Promise<void> {
  const { bank, ledger, terminal } = await shop.audit()
  const paid = bank.filter(({ status }) => status === 'successful')
  expect(bank.filter(({ status }) => status === 'pending'), 'no charge is left that could be paid').toEqual([])
  expect(paid.length, 'a sale is paid once at most').toBeLessThanOrEqual(1)
  expect(new Set(terminal.map(({ sale, outcome }) => `${sale} ${outcome}`)).size, 'the terminal never changes its word').toBe(1)
  expect(terminal.at(-1)?.outcome).toBe(paid.length === 1 ? 'paid' : 'unpaid')
  expect(ledger.map(({ sale, key }) => `${sale} ${key.replace(/ chrg_.*/, '')}`)).toEqual(paid.map(({ sale }) => `${sale} sale paid`))
  await shop.codeGone()
}
