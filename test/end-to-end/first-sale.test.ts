// One whole sale through every real part: processes, MQTT, HTTP, SQLite, the panel's pixels, a pty.
import { SerialPort } from 'serialport'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { createShop, everythingWritten, openPtyPair, type PtyPair, type Shop } from './shop.js'

// Three processes start in each of these, on a machine that may be doing other things.
vi.setConfig({ testTimeout: 120_000 })

let shop: Shop
let line: PtyPair | undefined
afterEach(async () => {
  await shop.close()
  line?.close()
  line = undefined
})

const ended = ({ msg }: { msg: string }) => msg === 'sale ended'

describe('a customer at the counter', () => {
  it('keys in 25.00, scans, pays, and sees PAID; the ledger has it once', async () => {
    shop = await createShop()
    await shop.open()
    shop.terminal.type('2500\n')
    const charge = await shop.pay()
    const { fields } = await shop.until(ended)
    expect(fields).toMatchObject({ amount: 'THB 25.00', charge, ending: { outcome: 'paid' } })
    await shop.until(({ msg, fields }) => msg === 'lamps' && fields['pattern'] === 'paid')
    expect((await shop.audit()).ledger).toEqual([{ sale: fields['sale'], key: `sale paid ${charge}` }])
    await shop.codeGone()
  })

  it.each(['payment_rejected', 'insufficient_fund', 'failed_processing'])('whose wallet answers %s is told so, and not charged', async (outcome) => {
    shop = await createShop()
    await shop.open()
    shop.terminal.type('2500\n')
    await shop.pay(outcome)
    const { fields } = await shop.until(ended)
    expect(fields['ending']).toEqual({ outcome: 'unpaid', reason: outcome })
    const audit = await shop.audit()
    expect(audit.bank).toEqual([{ sale: fields['sale'], status: 'failed' }])
    expect(audit.ledger).toEqual([])
  })

  it('who cancels leaves no code behind that could be paid', async () => {
    shop = await createShop()
    await shop.open()
    shop.terminal.type('2500\n')
    await shop.until(({ msg }) => msg === 'code shown')
    const payload = await shop.look()
    shop.terminal.type('x')
    const { fields } = await shop.until(ended)
    expect(fields['ending']).toEqual({ outcome: 'unpaid', reason: 'cancelled' })
    await expect(shop.wallet('pay', { payload, outcome: 'paid' })).rejects.toThrow('409')
    expect((await shop.audit()).bank[0]?.status).toBe('expired')
  })

  it('who pays in the same moment as Cancel has paid', async () => {
    shop = await createShop({ sandboxSwitches: ['webhooks=lose'] })
    await shop.open()
    shop.terminal.type('2500\n')
    await shop.pay()
    shop.terminal.type('x')
    const { fields } = await shop.until(ended)
    expect(fields['ending']).toMatchObject({ outcome: 'paid' })
  })

  it('who waits too long sees the code taken away and the charge closed', async () => {
    shop = await createShop({ codeLifetimeSeconds: 10 })
    await shop.open()
    shop.terminal.type('2500\n')
    const { fields } = await shop.until(ended)
    expect(fields['ending']).toEqual({ outcome: 'unpaid', reason: 'expired' })
    await shop.codeGone()
  })

  it('is served although the webhook never comes', async () => {
    shop = await createShop({ sandboxSwitches: ['webhooks=lose'] })
    await shop.open()
    shop.terminal.type('2500\n')
    await shop.pay()
    expect((await shop.until(ended)).fields['ending']).toMatchObject({ outcome: 'paid' })
    expect(shop.records.filter(({ msg }) => msg === 'webhook heard')).toEqual([])
  })

  it('is not asked for less than the method can charge', async () => {
    shop = await createShop()
    await shop.open()
    shop.terminal.type('1999\n')
    shop.terminal.type('2500\n')
    await shop.pay()
    await shop.until(ended)
    expect((await shop.charges()).map(({ amount }) => amount)).toEqual([2500])
  })
})

describe('a register on a serial line', () => {
  const openRegister = (path: string) => {
    const port = new SerialPort({ path, baudRate: 9600 })
    let heard = ''
    return {
      say: (text: string) => { port.write(text) },
      async line(): Promise<string> {
        while (!heard.includes('\r\n')) heard += String(await new Promise((resolve) => port.once('data', resolve)))
        const end = heard.indexOf('\r\n') + 2
        const line = heard.slice(0, end)
        heard = heard.slice(end)
        return line
      },
      close: () => { port.close() },
    }
  }

  it.each([
    ['paid', /^OK 150\.00 [0-9a-f-]{36} chrg_test_[0-9a-z]{19}\r\n$/],
    ['insufficient_fund', /^NO insufficient_fund: too little balance, or a limit\r\n$/],
  ])('asks for 150.00 and hears how it ended: %s', async (outcome, expected) => {
    line = await openPtyPair()
    shop = await createShop({ register: line.terminalEnd })
    await shop.open()
    const register = openRegister(line.registerEnd)
    register.say('150.00\r\n')
    await shop.pay(outcome)
    expect(await register.line()).toMatch(expected)
    register.close()
  })

  it('hears NO and a reason for what is no amount, or none the method can charge', async () => {
    line = await openPtyPair()
    shop = await createShop({ register: line.terminalEnd })
    await shop.open()
    const register = openRegister(line.registerEnd)
    for (const [asked, reason] of [['0.50', 'THB 0.50 is below the minimum of THB 20.00'], ['1e3', 'not an amount']] as const) {
      register.say(`${asked}\r\n`)
      expect(await register.line()).toBe(`NO ${reason}\r\n`)
    }
    register.close()
    expect(await shop.charges()).toEqual([])
  })
})

describe('no secret', () => {
  it('of the payment API reaches the terminal, a log, a journal or an MQTT message', async () => {
    shop = await createShop()
    await shop.open()
    shop.terminal.type('2500\n')
    await shop.pay()
    await shop.until(ended)
    const download = /documents\/docu_test_[0-9a-z]+\/downloads\/[0-9A-F]{16}/
    const { broker: { password: brokerPassword } } = JSON.parse(shop.read('identity.json')) as { broker: { password: string } }
    const secrets = [shop.secretKey, shop.read('webhook-secret').trim()]
    for (const [file, bytes] of everythingWritten(shop.folder, ['secret-key', 'webhook-secret', 'sandbox.sqlite', 'sandbox.sqlite-wal'])) {
      const text = bytes.toString('latin1')
      for (const secret of secrets) expect(text.includes(secret), `${file} holds a secret`).toBe(false)
      expect(download.test(text), `${file} says where a code is stored`).toBe(false)
    }
    for (const file of ['terminal.log', 'gateway.log', 'sandbox.log']) {
      const log = shop.read(file)
      expect(log).not.toContain('alipayplus.example')
      expect(log).not.toContain(brokerPassword)
    }
  })
})
