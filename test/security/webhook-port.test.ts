/** What anybody on the network can do at the port where webhooks arrive: take some of its time, and nothing else. */
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createShop, type Shop } from '../end-to-end/shop.js'

let shop: Shop
beforeAll(async () => {
  shop = await createShop()
  await shop.gateway.start()
})
afterAll(() => shop.close())

const CALLERS = 50

async function call(): Promise<Socket> {
  const socket = connect(Number(new URL(shop.webhookUrl).port), '127.0.0.1')
  socket.on('error', () => undefined) // Being hung up on is what we are here for.
  socket.resume()
  await new Promise<void>((resolve) => socket.once('connect', () => resolve()))
  return socket
}

test.each([
  ['headers', 'POST /webhooks/omise HTTP/1.1\r\nHost: x\r\nX-Slow: '],
  ['a body', 'POST /webhooks/omise HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n{'],
])('callers who send %s a byte at a time are hung up on, and others are served meanwhile', async (_, beginning) => {
  const sockets = await Promise.all(Array.from({ length: CALLERS }, call))
  let open = CALLERS
  for (const socket of sockets) {
    socket.on('close', () => { open-- })
    socket.write(beginning)
  }
  const drip = setInterval(() => { for (const socket of sockets) if (!socket.destroyed) socket.write('x') }, 500)
  const served = await fetch(shop.webhookUrl, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })
  expect(served.status).toBe(401)
  await expect.poll(() => open, { timeout: 25_000 }).toBe(0)
  clearInterval(drip)
})
