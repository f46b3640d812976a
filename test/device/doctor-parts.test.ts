/** Panel, lamps, keys, register and relay in the doctor's hands: by itself it moves nothing; with a person it believes what the person says. */
import { PassThrough } from 'node:stream'
import { describe, expect, test } from 'vitest'
import { ANSWER_MS, createPerson, type Person } from '../../device/doctor-person.js'
import { cardText, partProbes } from '../../device/doctor-parts.js'
import { readBack } from '../../device/qr.js'
import type { Delivery, Input, LampPattern, PartName, SourceName } from '../../drivers/driver.js'
import type { Finding } from '../../drivers/finding.js'
import { Profile, type ProfileFile } from '../../firmware-config/schema.js'
import type { Clock } from '../../device/clock.js'
import { createFakeClock } from '../fakes/clock.js'
import { createFakePanel, isBlank, PANEL_SIZE } from '../fakes/panel.js'
import { createFakeSource } from '../fakes/source.js'

const BOX: ProfileFile = {
  panel: { driver: 'png', directory: 'pictures', ...PANEL_SIZE }, keypad: { driver: 'usb' }, lamps: { driver: 'single', light: { pin: 23 } },
  buttons: { driver: 'gpio', buttons: { A: { pin: 5 }, B: { pin: 6 } } }, register: { driver: 'line', path: '/dev/ttyUSB0' },
  release: { driver: 'pulse', pin: 26 },
}

/** An impatient clock: alarms ring at once, so that waiting for a key that never comes takes no time. */
const hasty: Clock = { now: () => 0, alarm: (_, ring) => { const timer = setImmediate(ring); return () => clearImmediate(timer) } }

function createBox() {
  const panel = createFakePanel()
  const sources: Record<SourceName, ReturnType<typeof createFakeSource>> = { keypad: createFakeSource(), buttons: createFakeSource(), register: createFakeSource() }
  const shown: LampPattern[] = []
  const pulses: number[] = []
  const faults = new Map<PartName, string>()
  let delivery: Delivery = { delivery: 'delivered' }
  let closed = 0
  const hardware = {
    panel, parts: { faults, watch: () => undefined },
    sources: (['keypad', 'buttons', 'register'] as const).map((part) => ({ kind: part === 'register' ? 'register' as const : 'keypad' as const, part, source: sources[part] })),
    lamps: { show: (pattern: LampPattern) => { shown.push(pattern) }, close: () => Promise.resolve() },
    release: { release: (count: number) => { pulses.push(count); return Promise.resolve(delivery) }, close: () => Promise.resolve() },
    close: () => { closed++; return Promise.resolve() },
  }
  return { panel, sources, shown, pulses, faults, hardware, deliver: (next: Delivery) => { delivery = next }, closed: () => closed }
}

type Box = ReturnType<typeof createBox>

async function examine(box: Box, person?: Person, profile: ProfileFile = BOX, clock: Clock = hasty): Promise<ReadonlyMap<string, Finding>> {
  const open = () => Promise.resolve(box.hardware)
  const { probes } = partProbes({ profile: Profile.parse(profile), terminal: 'counter-1', report: ['module     0.42 mm', 'symbol 49 mm'], open, person, clock, settleMs: 0 })
  const found = new Map<string, Finding>()
  for (const probe of probes) for (const finding of await probe.run()) found.set(finding.check, finding)
  return found
}

/** Answers each question by the first of its words that fits; presses keys when it is told to. */
function someone(answers: Readonly<Record<string, string>>, press: (what: string) => void = () => undefined): Person & { readonly asked: string[] } {
  const asked: string[] = []
  const ask = (question: string): Promise<string | undefined> => {
    asked.push(question)
    return Promise.resolve(Object.entries(answers).find(([part]) => question.includes(part))?.[1])
  }
  return {
    asked, ask, tell: (text) => { queueMicrotask(() => press(text)) }, close: () => undefined,
    sees: async (question) => { const answer = await ask(question); return answer === undefined ? undefined : answer === 'y' },
  }
}

describe('by itself', () => {
  test('every part is opened and nothing is moved: no pulse, no lamp', async () => {
    const box = createBox()
    const found = await examine(box)
    expect([...found.values()].map(({ check, status }) => `${check} ${status}`)).toEqual(
      ['hardware good', 'panel good', 'scan good', 'lamps good', 'keypad good', 'buttons good', 'register good', 'release good'])
    expect(box.pulses).toEqual([])
    expect(box.shown).toEqual([])
    expect(box.closed()).toBe(1)
    expect(found.get('scan')?.says).toBe('module 0.42 mm; symbol 49 mm')
  })

  test('the test card is a code that nobody can pay, reads back from the panel\'s own bits, and does not stay', async () => {
    const { panel, ...box } = createBox()
    await examine({ panel, ...box })
    const [card, last] = panel.drawn
    expect(await readBack(card!)).toBe(cardText('counter-1'))
    expect(isBlank(last)).toBe(true)
    expect(panel.drawn.length).toBe(2)
  })

  test.each(['lamps', 'keypad', 'buttons', 'release'] as const)('%s that are missing are bad, in the words of their driver', async (part) => {
    const box = createBox()
    box.faults.set(part, 'GPIO 9 is taken: free it')
    expect((await examine(box)).get(part)).toEqual({ check: part, status: 'bad', says: 'GPIO 9 is taken', fix: 'free it' })
  })

  test('a register that does not open points at its line', async () => {
    const box = createBox()
    box.faults.set('register', 'the register\'s line does not open: Error: No such file')
    expect((await examine(box)).get('register')).toMatchObject({ status: 'bad', fix: expect.stringContaining('serial ports') })
  })

  test('a dead panel is bad and the rest is tried', async () => {
    const box = createBox()
    box.panel.failNext(Infinity)
    const found = await examine(box)
    expect(found.get('panel')).toMatchObject({ status: 'bad', says: 'panel busy for 5000 ms' })
    expect(found.get('release')?.status).toBe('good')
  })

  test('a panel that cannot be blanked after the card is bad', async () => {
    const box = createBox()
    const draw = box.panel.draw.bind(box.panel)
    box.hardware.panel.draw = async (frame, refresh) => { await draw(frame, refresh); box.panel.failNext(1) }
    expect((await examine(box)).get('panel')?.status).toBe('bad')
  })

  test('what the box does not have is skipped', async () => {
    const found = await examine(createBox(), undefined, { panel: BOX.panel, keypad: { driver: 'stdin' } })
    for (const check of ['lamps', 'keypad', 'buttons', 'register', 'release']) expect(found.get(check)?.status).toBe('skipped')
  })

  test('hardware that does not open at all is closed, and every part says so', async () => {
    const open = () => Promise.reject(new Error('no bench'))
    const { probes } = partProbes({ profile: Profile.parse(BOX), terminal: 'counter-1', report: [], open, person: undefined, clock: hasty })
    await expect(probes[0]?.run()).rejects.toThrow('no bench')
    for (const probe of probes.slice(1, -1)) expect((await probe.run())[0]?.status).toBe('skipped')
    expect(await probes.at(-1)?.run()).toEqual([])
  })
})

test('ended early, everything is given back, once', async () => {
  const box = createBox()
  const parts = partProbes({ profile: Profile.parse(BOX), terminal: 'counter-1', report: [], open: () => Promise.resolve(box.hardware), person: undefined, clock: hasty })
  await parts.close()
  expect(box.closed()).toBe(0)
  await parts.probes[0]?.run()
  await parts.close()
  await parts.probes.at(-1)?.run()
  expect(box.closed()).toBe(1)
  expect((await parts.probes.at(-2)?.run())?.[0]?.status).toBe('skipped')
})

describe('with a person', () => {
  const YES = { telephone: 'y', lamps: 'y', register: 'n', pulse: 'pulse', click: 'y' }
  const keys: readonly Input[] = [...'1234567890'].map((digit): Input => ({ type: 'digit pressed', digit }))

  const presser = (box: Box, pressed: readonly Input[] = [...keys, { type: 'enter pressed' }]) => (what: string): void => {
    if (what.startsWith('Press on the keypad')) pressed.forEach((input) => box.sources.keypad.give(input))
    if (what.startsWith('Press on the buttons')) ['A', 'B'].forEach((product) => box.sources.buttons.give({ type: 'product chosen', product }))
    if (what.startsWith('Send it')) box.sources.register.give({ type: 'amount asked', amount: '12.50' })
  }

  test('everything that is pressed, seen and heard is good', async () => {
    const box = createBox()
    const found = await examine(box, someone({ ...YES, register: 'y' }, presser(box)))
    expect([...found.values()].filter(({ status }) => status !== 'good')).toEqual([])
    expect(found.get('keypad')?.says).toBe('every key arrived: 1 2 3 4 5 6 7 8 9 0 enter')
    expect(found.get('register')?.says).toContain('the amount 12.50')
    expect(box.sources.register.answers).toEqual([{ answer: 'no', reason: 'a test of the terminal' }])
    expect(box.pulses).toEqual([1])
    expect(box.shown).toEqual(['ready', 'working', 'waiting', 'checking', 'paid', 'not paid', 'offline', 'out of service', 'off'])
  })

  test.each(['y', 'yes', 'Pulse', 'pulse!', '', undefined])('the relay is not pulsed by the answer %j', async (answer) => {
    const box = createBox()
    const found = await examine(box, someone(answer === undefined ? {} : { ...YES, pulse: answer }, presser(box)))
    expect(box.pulses).toEqual([])
    expect(found.get('release')?.status).toBe('skipped')
  })

  test('one pulse is sent, never two, and the person says what came of it where no sensor does', async () => {
    for (const [click, status] of [['y', 'good'], ['n', 'bad'], [undefined, 'unsure']] as const) {
      const box = createBox()
      box.deliver({ delivery: 'released' })
      const found = await examine(box, someone({ 'Type the word': 'pulse', ...(click === undefined ? {} : { click }) }))
      expect(found.get('release')?.status).toBe(status)
      expect(box.pulses).toEqual([1])
    }
  })

  test('a pulse of which nobody knows is bad, with its reason', async () => {
    const box = createBox()
    box.deliver({ delivery: 'unknown', why: 'GPIO 16 saw nothing' })
    expect((await examine(box, someone(YES))).get('release')).toMatchObject({ status: 'bad', says: 'one pulse: GPIO 16 saw nothing' })
  })

  test.each([
    ['a key that does not arrive', [...keys.slice(1), { type: 'enter pressed' }] as readonly Input[], /; 2 3 4 .* enter arrived$/],
    ['keys that are exchanged', [...[...keys].reverse(), { type: 'enter pressed' }] as readonly Input[], /; 0 9 8 .* arrived$/],
    ['a dead keypad', [] as readonly Input[], /; nothing arrived$/],
  ])('%s is bad, and what arrived is said', async (_, pressed, says) => {
    const box = createBox()
    expect((await examine(box, someone(YES, presser(box, pressed)))).get('keypad')).toMatchObject({ status: 'bad', says: expect.stringMatching(says) })
  })

  test('a matrix is asked for the keys that it has', async () => {
    const box = createBox()
    const matrix: ProfileFile = { ...BOX, keypad: { driver: 'matrix', rows: [12, 13], columns: [19, 20], keys: [['1', '00'], ['none', 'cancel']] } }
    const pressed: readonly Input[] = [{ type: 'digit pressed', digit: '1' }, { type: 'digit pressed', digit: '00' }, { type: 'cancel pressed' }]
    expect((await examine(box, someone(YES, presser(box, pressed)), matrix)).get('keypad')).toMatchObject({ status: 'good', says: 'every key arrived: 1 00 cancel' })
  })

  test('a keypad that is pulled out while it is tried is said to be gone', async () => {
    const box = createBox()
    const found = await examine(box, someone(YES, (what) => { if (what.startsWith('Press on the keypad')) box.faults.set('keypad', 'the keypad is gone: plug it in again') }))
    expect(found.get('keypad')).toEqual({ check: 'keypad', status: 'bad', says: 'the keypad is gone', fix: 'plug it in again' })
  })

  test('a lamp that is not seen is named; where nobody answers, nobody is asked nine times', async () => {
    const dark = createBox()
    expect((await examine(dark, someone({ '"paid"': 'n', '"offline"': 'n', lamps: 'y' }))).get('lamps')).toMatchObject({ status: 'bad', says: 'not seen: paid, offline' })
    const nobody = someone({})
    const alone = createBox()
    expect((await examine(alone, nobody)).get('lamps')?.status).toBe('unsure')
    expect(nobody.asked.filter((question) => question.includes('lamps')).length).toBe(1)
    expect(alone.shown.at(-1)).toBe('off')
  })

  test('a card that no telephone reads is bad, and does not stay on the panel either', async () => {
    const box = createBox()
    expect((await examine(box, someone({ telephone: 'n' }))).get('telephone')?.status).toBe('bad')
    expect(isBlank(box.panel.visible())).toBe(true)
  })
})

describe('the person at the other end of a stream', () => {
  const open = () => {
    const input = new PassThrough(), output = new PassThrough()
    const clock = createFakeClock()
    return { input, clock, person: createPerson(input, output, clock), said: () => String(output.read() ?? '') }
  }

  test('may have typed ahead, as a pipe has', async () => {
    const { input, person, said } = open()
    input.end('y\n pulse \n')
    expect(await person.sees('Lamps?')).toBe(true)
    expect(await person.ask('Word?')).toBe('pulse')
    expect(await person.ask('More?')).toBeUndefined()
    expect(said()).toBe('Lamps? y/n \nWord? \nMore? (no answer)\n')
  })

  test('is asked once more after an answer that is neither yes nor no', async () => {
    const { input, person } = open()
    input.write('perhaps\nNO\nhm\nhm\n')
    expect(await person.sees('Seen?')).toBe(false)
    expect(await person.sees('Seen?')).toBeUndefined()
    person.close()
  })

  test('is not waited for without end', async () => {
    const { clock, person } = open()
    const answer = person.ask('There?')
    clock.advance(ANSWER_MS)
    expect(await answer).toBeUndefined()
    person.close()
  })
})
