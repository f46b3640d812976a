// Broker, gateway or sandbox not there: the terminal says so, starts no sale, and goes on when they come back.
import { afterEach, expect, it, vi } from 'vitest'
import { createShop, payWheneverACodeIsShown, type Shop } from './shop.js'

vi.setConfig({ testTimeout: 120_000 })

let shop: Shop
afterEach(async () => { await shop.close() })

it('a terminal without its gateway shows that it is offline and starts no sale; with it, it sells', async () => {
  shop = await createShop()
  await shop.sandbox.start()
  await shop.terminal.start()
  await shop.until(({ msg, fields }) => msg === 'lamps' && fields['pattern'] === 'offline')
  shop.terminal.type('2500\n')
  await shop.gateway.start()
  await shop.until(({ msg }) => msg === 'link up')
  expect(await shop.charges()).toEqual([])
  shop.terminal.type('c3000\n')
  await shop.pay()
  const { fields } = await shop.until(({ msg }) => msg === 'sale ended')
  expect(fields).toMatchObject({ amount: 'THB 30.00', ending: { outcome: 'paid' } })
})

it('a gateway that goes away while the terminal waits for customers takes the terminal offline until it is back', async () => {
  shop = await createShop()
  await shop.open()
  await shop.gateway.kill('SIGKILL')
  await shop.until(({ msg, fields }) => msg === 'lamps' && fields['pattern'] === 'offline')
  await shop.gateway.start()
  await shop.until(({ program, msg, time }) => program === 'terminal' && msg === 'link up' && time > (shop.records.find((r) => r.msg === 'link lost')?.time ?? Infinity))
  shop.terminal.type('2500\n')
  await shop.pay()
  await shop.until(({ msg }) => msg === 'sale ended')
})

it('a payment API that is away makes no charge and no promise; when it is back the sale goes on, to the right word', async () => {
  shop = await createShop()
  await shop.open()
  await shop.sandbox.kill('SIGKILL')
  shop.terminal.type('2500\n')
  await shop.until(({ program, msg, fields }) => program === 'gateway' && msg === 'charge step' && fields['event'] === 'create unanswered')
  await shop.sandbox.start()
  const customer = payWheneverACodeIsShown(shop)
  const { fields } = await shop.until(({ msg }) => msg === 'sale ended', 60_000)
  customer.leave()
  const paid = (await shop.audit()).bank.some(({ status }) => status === 'successful')
  expect(fields['ending']).toMatchObject({ outcome: paid ? 'paid' : 'unpaid' })
})
