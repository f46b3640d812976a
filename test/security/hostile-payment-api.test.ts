/**
 * A payment API, or something between it and us, that lies or breaks whenever a charge is read. The customer has not
 * paid in any of these rows: nobody may say PAID, nothing may be posted as sold, and with the truth back the sale is paid once.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createShop, type Shop } from '../end-to-end/shop.js'

type ChargeJson = Readonly<Record<string, unknown>>
/** Answers the reading of a charge; the true answer is given. */
type Lie = (response: ServerResponse, truth: ChargeJson) => void

let shop: Shop
let proxy: Server
let elsewhere: Server
let elsewhereAsked = 0
let lie: Lie | undefined
let lies = 0

beforeAll(async () => {
  shop = await createShop({ pollSeconds: 1 })
  elsewhere = createServer((_, response) => {
    elsewhereAsked++
    response.end('{}')
  })
  proxy = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = 'GET', url = '/', headers } = request
      const body = chunks.length === 0 ? {} : { body: Buffer.concat(chunks) }
      const kept = { authorization: headers.authorization ?? '', 'content-type': headers['content-type'] ?? 'application/json' }
      fetch(`${shop.sandboxUrl}${url}`, { method, headers: kept, ...body }).then(async (answer) => {
        const bytes = Buffer.from(await answer.arrayBuffer())
        if (lie !== undefined && method === 'GET' && /^\/charges\/chrg_\w+$/.test(url)) {
          lies++
          return lie(response, JSON.parse(bytes.toString()) as ChargeJson)
        }
        response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' }).end(bytes)
      }).catch(() => response.destroy())
    })
  })
  const [proxyPort, elsewherePort] = await Promise.all([proxy, elsewhere].map(listen))
  const file = join(shop.folder, 'gateway.json')
  const settings = JSON.parse(readFileSync(file, 'utf8')) as { omise: object }
  writeFileSync(file, JSON.stringify({
    ...settings,
    omise: { ...settings.omise, apiUrl: `http://127.0.0.1:${proxyPort}`, documentHosts: [new URL(shop.sandboxUrl).host], timeoutMs: 1_000 },
  }))
  address = `http://127.0.0.1:${elsewherePort}/`
  await shop.open()
})
afterAll(async () => {
  await shop.close()
  for (const server of [proxy, elsewhere]) {
    server.closeAllConnections()
    server.close()
  }
})

let address = ''

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => {
    const bound = server.address()
    resolve(typeof bound === 'object' && bound !== null ? bound.port : 0)
  }))
}

const say = (response: ServerResponse, json: unknown, status = 200): void => {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(json))
}
const paid = (truth: ChargeJson): ChargeJson => ({ ...truth, status: 'successful', paid: true, paid_at: '2026-01-01T00:00:00Z' })

const endings = () => shop.records.filter(({ program, msg }) => program === 'terminal' && msg === 'sale ended')
const outcomes = (): readonly unknown[] => endings().map(({ fields }) => (fields['ending'] as { outcome: string }).outcome)

/** Keys are heard again once the outcome stands on the panel. */
async function nextCustomer(): Promise<void> {
  await shop.codeGone()
  shop.terminal.type('c')
}

async function lieIsTold(): Promise<void> {
  await expect.poll(() => lies, { timeout: 20_000 }).toBeGreaterThan(0)
}

describe('an answer that is not about this charge, or no answer', () => {
  test.each<[string, Lie]>([
    ['paid, by another charge', (response, truth) => say(response, { ...paid(truth), id: 'chrg_test_somebodyelses' })],
    ['paid, with real money', (response, truth) => say(response, { ...paid(truth), livemode: true })],
    ['successful, and not paid', (response, truth) => say(response, { ...truth, status: 'successful', paid: false })],
    ['paid, and still pending', (response, truth) => say(response, { ...truth, paid: true })],
    ['a status nobody knows', (response, truth) => say(response, { ...truth, status: 'PAID', paid: true })],
    ['an amount that is no number', (response, truth) => say(response, { ...paid(truth), amount: '2500' })],
    ['paid, with status 502', (response, truth) => say(response, paid(truth), 502)],
    ['paid, in a page of HTML', (response, truth) => response.writeHead(200, { 'content-type': 'text/html' }).end(JSON.stringify(paid(truth)))],
    ['paid, cut off', (response, truth) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(paid(truth)).slice(0, -1))],
    ['paid, elsewhere', (response) => response.writeHead(302, { location: address }).end()],
    ['paid, in a megabyte and more', (response, truth) => say(response, { ...paid(truth), description: 'x'.repeat(1_100_000) })],
    ['paid, a byte at a time', (response, truth) => {
      const text = JSON.stringify(paid(truth))
      let at = 0
      response.writeHead(200, { 'content-type': 'application/json' })
      const drip = setInterval(() => response.write(text[at++] ?? ' '), 100)
      response.on('close', () => clearInterval(drip))
    }],
    ['a hang-up', (response) => response.destroy()],
  ])('%s: not PAID; and PAID once with the truth', async (_, told) => {
    const before = outcomes().length
    lies = 0
    lie = told
    shop.terminal.type('2500\r')
    await lieIsTold()
    const seen = lies
    await expect.poll(() => lies, { timeout: 20_000 }).toBeGreaterThan(seen) // It looked again: the first did not end it.
    expect(outcomes()).toHaveLength(before)
    expect(elsewhereAsked).toBe(0)

    lie = undefined
    await shop.pay()
    await expect.poll(() => outcomes().slice(before), { timeout: 20_000 }).toEqual(['paid'])
    await nextCustomer()
  })
})

describe('an answer about this charge that cannot be', () => {
  test.each<[string, Lie]>([
    ['another amount', (response, truth) => say(response, { ...paid(truth), amount: 250_000 })],
    ['another currency', (response, truth) => say(response, { ...paid(truth), currency: 'SGD' })],
  ])('%s: not PAID, not sold, held apart from what is ours, and a person is called', async (_, told) => {
    const before = outcomes().length
    const posted = (await shop.audit()).ledger.length
    lies = 0
    lie = told
    shop.terminal.type('2500\r')
    await lieIsTold()
    await expect.poll(() => outcomes().slice(before), { timeout: 20_000 }).toEqual(['unpaid'])
    lie = undefined
    expect((await shop.audit()).ledger.slice(posted).map(({ key }) => key.replace(/ chrg_.*/, ''))).toEqual(['late payment'])
    expect(shop.records.some(({ program, msg }) => program === 'gateway' && msg === 'a person must look')).toBe(true)
    await nextCustomer()
  })
})
