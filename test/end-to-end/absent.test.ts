// Broker, gateway or sandbox not there: the terminal says so, starts no sale, and goes on when they come back.
import { afterEach, expect, it, vi } from 'vitest'
import { createShop, type Shop } from './shop.js'

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

it('a payment API that goes away ends the sale unpaid at once; the terminal says so, and sells again when it is back', async () => {
  shop = await createShop()
  await shop.open()
  await shop.sandbox.kill('SIGKILL')
  shop.terminal.type('2500\n')
  const { fields } = await shop.until(({ msg }) => msg === 'sale ended')
  expect(fields['ending']).toEqual({ outcome: 'unpaid', reason: 'refused: unreachable' })
  await shop.sandbox.start()
  expect(await shop.charges()).toEqual([])
  shop.terminal.type('3000\n')
  await shop.pay()
  await shop.until(({ msg, fields }) => msg === 'sale ended' && fields['amount'] === 'THB 30.00')
})

it('a terminal whose gateway cannot reach the payment API says so and starts no sale; when it can, it sells', async () => {
  shop = await createShop()
  await shop.gateway.start()
  await shop.terminal.start()
  await shop.until(({ msg, fields }) => msg === 'charging changed' && fields['charging'] === false)
  shop.terminal.type('2500\n')
  await shop.sandbox.start()
  await shop.until(({ msg, fields }) => msg === 'charging changed' && fields['charging'] === true)
  expect(await shop.charges()).toEqual([])
  shop.terminal.type('c3000\n')
  await shop.pay()
  const { fields } = await shop.until(({ msg }) => msg === 'sale ended')
  expect(fields).toMatchObject({ amount: 'THB 30.00', ending: { outcome: 'paid' } })
})
