import fc from 'fast-check'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import type { Input } from '../../../drivers/driver.js'
import type { Hid } from '../../../drivers/keypad/hid.js'
import { PRESSES_PER_SECOND_MAX, QUIET_MS, STUCK_MS } from '../../../drivers/keypad/key-guard.js'
import { createUsbKeypad, EAGER_LOOKS, EAGER_MS, LOOK_AGAIN_MS, type UsbKeypadOptions } from '../../../drivers/keypad/usb.js'
import { listKeypads } from '../../../drivers/keypad/usb-keypads.js'
import { amountSourceConformance } from '../../conformance/amount-source.js'
import { createFakeClock } from '../../fakes/clock.js'
import { BOOT_DESCRIPTOR, createFakeUsb, type FakeKeypad, type FakeUsb, MEDIA_DESCRIPTOR, reportOf, usageOf, WITH_ID_DESCRIPTOR } from '../../fakes/hid.js'

const settle = async (): Promise<void> => { for (let i = 0; i < 8; i++) await new Promise(setImmediate) }
const digit = (text: string): Input => ({ type: 'digit pressed', digit: text })
const ENTER: Input = { type: 'enter pressed' }

const PORT = '1-1.2'
const pad: FakeKeypad = { port: PORT }

async function createStand(options: Partial<UsbKeypadOptions> & { plugged?: readonly FakeKeypad[]; style?: 'libusb' | 'hidraw' } = {}) {
  const { plugged = [pad], style, ...rest } = options
  const usb = createFakeUsb(style)
  const clock = createFakeClock()
  const faults: (string | undefined)[] = []
  const said: string[] = []
  const inputs: Input[] = []
  plugged.forEach(usb.plug)
  const keypad = createUsbKeypad({
    device: 'only', exclusive: true, report: (fault) => { faults.push(fault) }, log: pino({}, { write: (line) => { said.push(line) } }),
    now: clock.now, alarm: clock.alarm, hid: () => Promise.resolve(usb.hid), tree: usb.tree, watch: usb.watch, ...rest,
  })
  await keypad.start((input) => inputs.push(input))
  await settle()
  return {
    usb, clock, keypad, faults, inputs, said,
    fault: () => faults.at(-1),
    async pass(ms: number) {
      clock.advance(ms)
      await settle()
    },
    tap(key: string, port = PORT) {
      usb.send(port, reportOf(usageOf(key)))
      usb.send(port, reportOf())
    },
  }
}

describe('a USB keypad', () => {
  amountSourceConformance(async () => {
    const usb = createFakeUsb()
    const clock = createFakeClock()
    usb.plug(pad)
    const tap = (key: string): void => {
      usb.send(PORT, reportOf(usageOf(key)))
      usb.send(PORT, reportOf())
    }
    return Promise.resolve({
      source: createUsbKeypad({
        device: 'only', exclusive: true, report: () => undefined, log: pino({ level: 'silent' }), now: clock.now, alarm: clock.alarm,
        hid: () => Promise.resolve(usb.hid), tree: usb.tree, watch: usb.watch,
      }),
      ask: () => {
        clock.advance(1_000)
        for (const key of ['2', '5', 'enter']) tap(key)
        return Promise.resolve([digit('2'), digit('5'), ENTER])
      },
      settle,
      close: () => Promise.resolve(),
    })
  })

  test('types what is pressed', async () => {
    const { inputs, tap, fault } = await createStand()
    for (const key of ['1', '5', '00', '.', '000', 'clear', 'cancel', 'enter']) tap(key)
    expect(inputs).toEqual([
      digit('1'), digit('5'), digit('00'), { type: 'point pressed' }, digit('000'), { type: 'clear pressed' }, { type: 'cancel pressed' }, ENTER,
    ])
    expect(fault()).toBeUndefined()
  })

  test('is let go when it is stopped, and nobody waits for anything any more', async () => {
    const { usb, keypad, clock } = await createStand()
    expect(usb.opened()).toEqual(['1-1.2:1.0'])
    usb.send(PORT, reportOf(0x59))
    await keypad.stop()
    expect(usb.opened()).toEqual([])
    expect(usb.watchers()).toBe(0)
    expect(clock.waiting()).toBe(0)
  })

  test('that is missing leaves nothing behind either when it is stopped', async () => {
    const { usb, keypad, clock } = await createStand({ plugged: [] })
    expect(clock.waiting()).toBe(1)
    await keypad.stop()
    expect(usb.watchers()).toBe(0)
    expect(clock.waiting()).toBe(0)
  })

  test('that is stopped by one key of two in the same moment does not type the other', async () => {
    const inputs: Input[] = []
    const { usb, keypad, clock } = await createStand()
    await keypad.stop()
    await keypad.start((input) => {
      inputs.push(input)
      void keypad.stop()
    })
    usb.send(PORT, reportOf(0x59, 0x5a))
    await settle()
    expect(inputs).toEqual([digit('1')])
    expect(clock.waiting()).toBe(0)
  })

  test('is started once at a time', async () => {
    const { keypad } = await createStand()
    await expect(keypad.start(() => undefined)).rejects.toMatchObject({ code: 'KEYPAD_OPEN_FAILED' })
  })

  test('with an id in its reports beside media keys types no volume', async () => {
    const { usb, inputs } = await createStand({ plugged: [{ port: PORT, interfaces: [{ descriptor: WITH_ID_DESCRIPTOR }] }] })
    usb.send(PORT, Uint8Array.of(1, 0xe9, 0))
    usb.send(PORT, Uint8Array.of(1, 0, 0, 0x59, 0, 0, 0, 0, 0))
    usb.send(PORT, Uint8Array.of(2, 0, 0, 0x5a, 0, 0, 0, 0, 0))
    expect(inputs).toEqual([digit('2')])
  })
})

describe('which keypad is meant', () => {
  const other: FakeKeypad = { port: '1-1.3' }
  const scanner: FakeKeypad = { port: '1-1.4', vendorId: 0x05f9, productId: 0x2203, name: 'Scanner', serial: 'S7' }

  test('with two that are alike, is not guessed, and the sentence says how to choose', async () => {
    const { fault, usb } = await createStand({ plugged: [other, pad] })
    expect(fault()).toBe('there are 2 keypads where one is expected, USB Keypad (1a2c:0e24) at port 1-1.2 and USB Keypad (1a2c:0e24) at port 1-1.3: ' +
      'unplug the others, or set device in the profile to the vendor and product, or the port, of the one that is meant')
    expect(usb.opened()).toEqual([])
  })

  test.each([
    ['by its port', { port: '1-1.3' }, '1-1.3:1.0'],
    ['by its ids', { vendor: '05f9', product: '2203' }, '1-1.4:1.0'],
    ['by its serial number', { vendor: '05f9', product: '2203', serial: 'S7' }, '1-1.4:1.0'],
  ])('is told %s', async (_, device, path) => {
    const { usb, fault } = await createStand({ device, plugged: [pad, other, scanner] })
    expect(usb.opened()).toEqual([path])
    expect(fault()).toBeUndefined()
  })

  test.each([
    ['nothing is there', 'only' as const, [], 'no USB keypad is there: plug one in'],
    ['its port is empty', { port: '1-1.1' }, [pad], 'no keypad is at USB port 1-1.1: plug it in there; there is USB Keypad (1a2c:0e24) at port 1-1.2'],
    ['another make is there', { vendor: '05f9', product: '2203' }, [pad], 'keypad 05f9:2203 is not there: plug it in; there is USB Keypad (1a2c:0e24) at port 1-1.2'],
    ['another serial number is there', { vendor: '05f9', product: '2203', serial: 'S8' }, [scanner],
      'keypad 05f9:2203 with serial number S8 is not there: plug it in; there is Scanner (05f9:2203) at port 1-1.4'],
    ['two of its make are there', { vendor: '1a2c', product: '0e24' }, [pad, other], 'unplug the others, or set device in the profile to the port of'],
  ])('is missing when %s', async (_, device, plugged, sentence) => {
    expect((await createStand({ device, plugged })).fault()).toContain(sentence)
  })

  test('is none that has no keys, and none that is a mouse', async () => {
    const mouse = { port: '1-1.1', interfaces: [{ descriptor: BOOT_DESCRIPTOR.with(3, 2) }] }
    const { usb } = await createStand({ plugged: [mouse, { port: '1-1.3', interfaces: [{ descriptor: MEDIA_DESCRIPTOR }] }, pad] })
    expect(usb.opened()).toEqual(['1-1.2:1.0'])
  })

  test('is one that a killed run left without a driver, unless another is surely one', async () => {
    const left: FakeKeypad = { port: '1-1.1', interfaces: [{ looksLike: 'perhaps a keyboard' }] }
    expect((await createStand({ plugged: [left] })).usb.opened()).toEqual(['1-1.1:1.0'])
    expect((await createStand({ plugged: [left, pad] })).usb.opened()).toEqual(['1-1.2:1.0'])
    expect((await createStand({ plugged: [{ port: PORT, interfaces: [{ looksLike: 'keyboard' }] }] })).usb.opened()).toEqual(['1-1.2:1.0'])
  })

  test('has a name that can be printed, whatever it calls itself', async () => {
    const { said } = await createStand({ plugged: [{ port: PORT, name: `\u0000\u001b[2J${'x'.repeat(200)}` }] })
    expect(said.join('')).toContain(`"[2J${'x'.repeat(57)} (1a2c:0e24) at port 1-1.2"`)
  })
})

describe('keys that must reach nothing else', () => {
  const composite: FakeKeypad = { port: PORT, interfaces: [{ descriptor: MEDIA_DESCRIPTOR }, { descriptor: BOOT_DESCRIPTOR }] }

  test('are taken with all of the keypad, its Sleep and Power keys too', async () => {
    const { usb, inputs, keypad } = await createStand({ plugged: [composite] })
    expect(usb.opened()).toEqual(['1-1.2:1.0', '1-1.2:1.1'])
    const [found] = await listKeypads(usb.hid, usb.tree)
    expect(found?.interfaces.map(({ keys }) => keys)).toEqual(['plain', undefined])
    usb.send(PORT, reportOf(0x59), 1)
    usb.send(PORT, reportOf(0x5a), 0)
    expect(inputs).toEqual([digit('1')])
    await keypad.stop()
    expect(usb.opened()).toEqual([])
  })

  test('work although another program has the media keys', async () => {
    const { usb, inputs, fault, said } = await createStand({
      plugged: [{ port: PORT, interfaces: [{ descriptor: MEDIA_DESCRIPTOR, taken: true }, { descriptor: BOOT_DESCRIPTOR }] }],
    })
    usb.send(PORT, reportOf(0x59), 1)
    expect(inputs).toEqual([digit('1')])
    expect(fault()).toBeUndefined()
    expect(said.join('')).toContain('a part of the keypad could not be taken')
  })

  test('are not taken by half: without one interface of keys the others are let go', async () => {
    const { usb, fault } = await createStand({
      plugged: [{ port: PORT, interfaces: [{ descriptor: BOOT_DESCRIPTOR }, { descriptor: BOOT_DESCRIPTOR, taken: true }] }],
    })
    expect(fault()).toContain('another program may be using it')
    expect(usb.opened()).toEqual([])
  })

  test('are not taken when that is not wanted, and the log says once what that means', async () => {
    const { usb, said, tap, inputs, pass } = await createStand({ plugged: [composite], exclusive: false, style: 'hidraw' })
    expect(usb.opened()).toEqual(['/dev/hidraw1'])
    usb.send(PORT, reportOf(0x59), 1)
    usb.unplug(PORT)
    usb.plug(pad)
    await pass(EAGER_MS)
    tap('2')
    expect(inputs).toEqual([digit('1'), digit('2')])
    expect(said.filter((line) => line.includes('getty@tty1'))).toHaveLength(1)
  })
})

describe('a USB keypad that comes and goes', () => {
  test('may be missing at the start', async () => {
    const { usb, fault, pass, tap, inputs } = await createStand({ plugged: [] })
    expect(fault()).toBe('no USB keypad is there: plug one in')
    usb.plug(pad)
    await pass(EAGER_MS)
    expect(fault()).toBeUndefined()
    tap('7')
    expect(inputs).toEqual([digit('7')])
  })

  test('is reported when it is unplugged, and found again at another port', async () => {
    const { usb, faults, pass, tap, inputs } = await createStand()
    tap('1')
    await pass(60_000)
    usb.unplug(PORT)
    expect(faults).toEqual([undefined, 'keypad USB Keypad (1a2c:0e24) at port 1-1.2 is gone: plug it in again'])
    await settle()
    expect(usb.opened()).toEqual([])
    usb.plug({ port: '1-1.4' })
    await pass(EAGER_MS)
    expect(faults.at(-1)).toBeUndefined()
    tap('2', '1-1.4')
    expect(inputs).toEqual([digit('1'), digit('2')])
  })

  test('is not found at another port when it was told by its port', async () => {
    const { usb, fault, pass } = await createStand({ device: { port: PORT } })
    usb.unplug(PORT)
    usb.plug({ port: '1-1.4' })
    await pass(60_000)
    expect(fault()).toContain('no keypad is at USB port 1-1.2')
    usb.plug(pad)
    await pass(EAGER_MS)
    expect(fault()).toBeUndefined()
  })

  test('forgets the keys that were down', async () => {
    const { usb, inputs, pass, fault } = await createStand()
    usb.send(PORT, reportOf(0x59))
    usb.unplug(PORT)
    usb.plug(pad)
    await pass(EAGER_MS)
    usb.send(PORT, reportOf(0x59))
    expect(inputs).toEqual([digit('1'), digit('1')])
    usb.send(PORT, reportOf())
    await pass(STUCK_MS)
    expect(fault()).toBeUndefined()
  })

  test('types nothing by what is left of it', async () => {
    const { usb, inputs, pass } = await createStand({ plugged: [{ port: PORT, interfaces: [{ descriptor: BOOT_DESCRIPTOR }, { descriptor: BOOT_DESCRIPTOR }] }] })
    usb.breakReading(PORT)
    usb.send(PORT, reportOf(0x59), 1)
    await pass(LOOK_AGAIN_MS)
    usb.send(PORT, reportOf(0x5a), 1)
    expect(inputs).toEqual([digit('2')])
  })

  test('whose reading fails is opened again', async () => {
    const { usb, faults, pass, tap, inputs } = await createStand()
    await pass(60_000)
    usb.breakReading(PORT)
    expect(faults.at(-1)).toContain('is gone')
    await pass(EAGER_MS)
    expect(faults.at(-1)).toBeUndefined()
    tap('3')
    expect(inputs).toEqual([digit('3')])
  })

  test('that breaks as soon as it is opened is tried now and then', async () => {
    const { usb, pass } = await createStand()
    for (let i = 0; i < 60; i++) {
      usb.breakReading(PORT)
      await pass(1_000)
    }
    expect(usb.lists()).toBeLessThanOrEqual(1 + 60_000 / LOOK_AGAIN_MS)
  })

  test('and is permitted late is tried a few times in a row', async () => {
    const { usb, fault, pass } = await createStand({ plugged: [] })
    usb.plug({ ...pad, permitted: false })
    for (let i = 0; i < EAGER_LOOKS - 1; i++) await pass(EAGER_MS)
    expect(fault()).toBe('keypad USB Keypad (1a2c:0e24) at port 1-1.2 is there, but this program may not open /dev/bus/usb/001/1-1.2: ' +
      'its user must be in the group plugdev, and 60-plinth.rules must be in /usr/lib/udev/rules.d when it is plugged in')
    usb.permit(PORT)
    await pass(EAGER_MS)
    expect(fault()).toBeUndefined()
  })

  test('that stays away costs a look every few seconds, also while other things are plugged in and out', async () => {
    const { usb, pass } = await createStand({ plugged: [] })
    await pass(0)
    const before = usb.lists()
    for (let i = 0; i < 12; i++) await pass(LOOK_AGAIN_MS)
    expect(usb.lists() - before).toBe(12)
    usb.unplug('9-9')
    for (let i = 0; i < 300; i++) await pass(EAGER_MS)
    expect(usb.lists() - before).toBeLessThanOrEqual(12 + EAGER_LOOKS + 1 + 12)
    const storm = usb.lists()
    for (let i = 0; i < 1_000; i++) {
      usb.unplug('9-9')
      await pass(1)
    }
    expect(usb.lists() - storm).toBeLessThanOrEqual(1_000 / EAGER_MS)
    expect(usb.lists() - storm).toBeGreaterThanOrEqual(1_000 / EAGER_MS - 1)
  })

  test('costs nothing while it is there', async () => {
    const { usb, pass, clock } = await createStand()
    const before = usb.lists()
    usb.unplug('9-9')
    await pass(3_600_000)
    expect(usb.lists()).toBe(before)
    expect(clock.waiting()).toBe(0)
  })

  test('may be in use by another program', async () => {
    const usb = createFakeUsb()
    usb.plug(pad)
    await usb.hid.open('1-1.2:1.0')
    const { fault } = await createStand({ hid: () => Promise.resolve(usb.hid), tree: usb.tree })
    expect(fault()).toContain('cannot be opened (cannot open device with path 1-1.2:1.0): another program may be using it')
  })

  test('may go away while it is opened', async () => {
    const usb = createFakeUsb()
    usb.plug(pad)
    const hid = { ...usb.hid, open: (path: string) => {
      usb.unplug(PORT)
      return usb.hid.open(path)
    } }
    const { fault } = await createStand({ hid: () => Promise.resolve(hid), tree: usb.tree })
    expect(fault()).toContain('went away while it was opened')
  })
})

describe('a USB that does not answer', () => {
  /** Lists what is there, and then opens nothing before it is told to go on. */
  const hangingOpen = (usb: FakeUsb): Hid => ({ ...usb.hid, open: (path) => {
    usb.hang(true)
    return usb.hid.open(path)
  } })

  test('is given up, and not asked a second time before it did', async () => {
    const { usb, fault, pass, tap, inputs } = await createStand({ plugged: [] })
    usb.hang(true)
    usb.plug(pad)
    await pass(EAGER_MS)
    await pass(5_000)
    expect(fault()).toContain('the list of USB devices took longer than 5000 ms')
    const before = usb.lists()
    for (let i = 0; i < 10; i++) await pass(LOOK_AGAIN_MS)
    expect(fault()).toContain('USB does not answer')
    expect(usb.lists()).toBe(before)
    usb.hang(false)
    await settle()
    await pass(LOOK_AGAIN_MS)
    expect(fault()).toBeUndefined()
    tap('4')
    expect(inputs).toEqual([digit('4')])
  })

  test('and opens a keypad when nobody waits any more, has it closed again', async () => {
    const usb = createFakeUsb()
    usb.plug(pad)
    const clock = createFakeClock()
    const keypad = createUsbKeypad({
      device: 'only', exclusive: true, report: () => undefined, log: pino({ level: 'silent' }), now: clock.now, alarm: clock.alarm,
      hid: () => Promise.resolve(hangingOpen(usb)), tree: usb.tree, watch: usb.watch,
    })
    const started = keypad.start(() => undefined)
    await settle()
    clock.advance(5_000)
    await started
    usb.hang(false)
    await settle()
    expect(usb.opened()).toEqual([])
    await keypad.stop()
  })

  test('does not keep a keypad that was opened for one who stopped meanwhile', async () => {
    const { usb, keypad, pass } = await createStand({ plugged: [] })
    usb.plug(pad)
    usb.hang(true)
    await pass(EAGER_MS)
    const stopped = keypad.stop()
    usb.hang(false)
    await stopped
    expect(usb.opened()).toEqual([])
  })

  test('does not keep a keypad that one who stopped was still opening', async () => {
    const usb = createFakeUsb()
    usb.plug(pad)
    const keypad = createUsbKeypad({
      device: 'only', exclusive: true, report: () => undefined, log: pino({ level: 'silent' }), now: () => 0, alarm: () => () => undefined,
      hid: () => Promise.resolve(hangingOpen(usb)), tree: usb.tree, watch: usb.watch,
    })
    const started = keypad.start(() => undefined)
    await settle()
    const stopped = keypad.stop()
    usb.hang(false)
    await Promise.all([started, stopped])
    expect(usb.opened()).toEqual([])
  })

  test('because its library is missing says which package to install', async () => {
    const { loadFailure } = await import('../../../drivers/keypad/hid.js')
    const { fault } = await createStand({
      hid: () => Promise.reject(loadFailure(new Error('libusb-1.0.so.0: cannot open shared object file: No such file or directory'))),
    })
    expect(fault()).toBe('USB keypads need the library libusb-1.0.so.0, which is missing: install Debian\'s package libusb-1.0-0')
    expect(loadFailure(new Error('Cannot find package')).message).toContain('is it installed')
  })
})

describe('keys that no person presses', () => {
  test('are a fault while one is stuck', async () => {
    const { usb, fault, pass } = await createStand()
    usb.send(PORT, reportOf(0x5d))
    await pass(STUCK_MS)
    expect(fault()).toContain('key 5 is stuck')
    usb.send(PORT, reportOf())
    expect(fault()).toBeUndefined()
  })

  test('are a fault while they flood in, and leave nothing typed', async () => {
    const { clock, tap, inputs, fault, pass } = await createStand()
    for (let i = 0; i < 10_000; i++) {
      tap(String(i % 10))
      if (i % 10 === 0) clock.advance(1)
    }
    expect(inputs).toHaveLength(PRESSES_PER_SECOND_MAX + 1)
    expect(inputs.at(-1)).toEqual({ type: 'clear pressed' })
    expect(fault()).toContain('faster than a person')
    await pass(QUIET_MS)
    expect(fault()).toBeUndefined()
    tap('7')
    expect(inputs.at(-1)).toEqual(digit('7'))
  })

  test('set hardly an alarm, however many they are', async () => {
    const clock = createFakeClock()
    let alarms = 0
    const { tap } = await createStand({ now: clock.now, alarm: (at, ring) => {
      alarms++
      return clock.alarm(at, ring)
    } })
    alarms = 0
    for (let i = 0; i < 1_000; i++) {
      tap('1')
      clock.advance(1)
    }
    expect(alarms).toBeLessThan(5)
    expect(clock.waiting()).toBeLessThanOrEqual(1)
  })

  test('may be garbage of any length, in any order with what is plugged in and out', async () => {
    const happening = fc.oneof(
      fc.uint8Array({ maxLength: 70 }), fc.uint8Array({ minLength: 8, maxLength: 9 }), fc.constantFrom('unplug', 'plug', 'break', 'wait', 'hang', 'go'))
    await fc.assert(fc.asyncProperty(fc.array(happening, { maxLength: 60 }), async (happenings) => {
      const { usb, pass, keypad, clock } = await createStand()
      for (const one of happenings) {
        if (typeof one !== 'string') usb.send(PORT, one)
        if (one === 'unplug') usb.unplug(PORT)
        if (one === 'plug') usb.plug(pad)
        if (one === 'break') usb.breakReading(PORT)
        if (one === 'wait') await pass(1_000)
        if (one === 'hang' || one === 'go') usb.hang(one === 'hang')
      }
      usb.hang(false)
      usb.plug(pad)
      for (let i = 0; i < 4; i++) await pass(LOOK_AGAIN_MS)
      expect(usb.opened()).toEqual(['1-1.2:1.0'])
      await keypad.stop()
      expect(usb.opened()).toEqual([])
      expect(clock.waiting()).toBe(0)
    }), { numRuns: 60 })
  })
})

test('the digits that a person pressed are the digits that the sale sees, exactly once, wherever the keypad is plugged in', async () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ key: fc.constantFrom('0', '1', '4', '9', '00', '000'), times: fc.integer({ min: 1, max: 3 }), rollover: fc.boolean() }) },
    { weight: 1, arbitrary: fc.constantFrom('1-1.2', '1-1.3', '2-1') },
  )
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
    const { usb, inputs, pass, keypad } = await createStand()
    const expected: Input[] = []
    let port = PORT
    let before: number | undefined
    for (const one of steps) {
      if (typeof one === 'string') {
        usb.unplug(port)
        port = one
        usb.plug({ port })
        before = undefined
        await pass(LOOK_AGAIN_MS)
        continue
      }
      const usage = usageOf(one.key)
      // The finger on the last key goes up while the next is down already; a key that is pressed twice goes up between.
      if (before === usage) usb.send(port, reportOf())
      if (before !== undefined && before !== usage) usb.send(port, reportOf(usage, before))
      for (let i = 0; i < one.times; i++) usb.send(port, reportOf(usage))
      if (one.rollover) usb.send(port, Uint8Array.of(0, 0, 1, 1, 1, 1, 1, 1))
      expected.push(digit(one.key))
      before = usage
      await pass(150)
    }
    expect(inputs).toEqual(expected)
    await keypad.stop()
  }), { numRuns: 60 })
})
