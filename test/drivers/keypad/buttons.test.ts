import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { pino } from 'pino'
import { describe, expect, test } from 'vitest'
import type { Input } from '../../../drivers/driver.js'
import { createButtons, RETRY_MS } from '../../../drivers/keypad/buttons.js'
import { STUCK_MS } from '../../../drivers/keypad/debounce.js'
import { amountSourceConformance } from '../../conformance/amount-source.js'
import { createFakeClock } from '../../fakes/clock.js'
import { createFakeBoard } from '../../fakes/gpio.js'

const BUTTONS = { cola: { pin: 5, activeLow: true }, water: { pin: 6, activeLow: true }, tea: { pin: 13, activeLow: false } }
type Product = keyof typeof BUTTONS
const PRODUCTS = Object.keys(BUTTONS) as Product[]

function openMachine({ edges = true }: { readonly edges?: boolean } = {}) {
  const clock = createFakeClock()
  const board = createFakeBoard({ edges })
  const inputs: Input[] = []
  const faults: (string | undefined)[] = []
  board.press(BUTTONS.tea.pin, 0) // Pulled down: this one is pressed when it is high.
  const buttons = createButtons({
    buttons: BUTTONS, board: board.gpio, report: (fault) => faults.push(fault), log: pino({ level: 'silent' }), now: clock.now, alarm: clock.alarm,
  })
  const move = (product: Product, closed: boolean): void =>
    board.press(BUTTONS[product].pin, closed === BUTTONS[product].activeLow ? 0 : 1)
  /** The contact chatters, a change a millisecond, and then it is what it was moved to. */
  const chatter = (product: Product, closed: boolean, changes: number): void => {
    for (let left = changes; left > 0; left--) {
      move(product, closed !== (left % 2 === 1))
      clock.advance(1)
    }
    move(product, closed)
  }
  const push = (...products: readonly Product[]): void => {
    for (const product of products) {
      chatter(product, true, 7)
      clock.advance(100)
      chatter(product, false, 7)
      clock.advance(100)
    }
  }
  const chosen = () => inputs.map((input) => (input.type === 'product chosen' ? input.product : input.type)).join(' ')
  return { clock, board, buttons, inputs, faults, move, chatter, push, chosen, start: () => buttons.start((input) => inputs.push(input)) }
}

async function startMachine(options: { readonly edges?: boolean } = {}) {
  const machine = openMachine(options)
  await machine.start()
  machine.clock.advance(500)
  return machine
}

describe.each([true, false])('product buttons, as any amount source, on a kernel that tells of changes: %s', (edges) => {
  amountSourceConformance(() => {
    const { buttons, clock, push } = openMachine({ edges })
    return Promise.resolve({
      source: buttons,
      ask: () => {
        push('cola', 'tea')
        return Promise.resolve([{ type: 'product chosen', product: 'cola' }, { type: 'product chosen', product: 'tea' }])
      },
      settle: async () => {
        clock.advance(1_000)
        await turn()
      },
      close: () => Promise.resolve(),
    })
  })
})

describe('product buttons', () => {
  test('one press is one product, when it goes down, however long it is held', async () => {
    const { move, clock, chosen } = await startMachine()
    move('cola', true)
    clock.advance(20)
    expect(chosen()).toBe('')
    clock.advance(30)
    expect(chosen()).toBe('cola')
    clock.advance(20_000)
    move('cola', false)
    clock.advance(1_000)
    expect(chosen()).toBe('cola')
  })

  test.each([true, false])('every press counts once and in order, bounce as it may (the kernel tells of changes: %s)', async (edges) => {
    const presses = fc.array(fc.record({ product: fc.constantFrom(...PRODUCTS), changes: fc.integer({ min: 0, max: 9 }) }), { maxLength: 12 })
    await fc.assert(fc.asyncProperty(presses, async (pushed) => {
      const { chatter, clock, chosen, faults } = await startMachine({ edges })
      for (const { product, changes } of pushed) {
        chatter(product, true, changes)
        clock.advance(80)
        chatter(product, false, changes)
        clock.advance(80)
      }
      expect(chosen()).toBe(pushed.map(({ product }) => product).join(' '))
      expect(faults).toEqual([])
    }), { numRuns: 60 })
  })

  test('a spike that is shorter than any press is none', async () => {
    const { move, clock, chosen } = await startMachine()
    for (let spikes = 0; spikes < 100; spikes++) {
      move('cola', true)
      clock.advance(15)
      move('cola', false)
      clock.advance(15)
    }
    expect(chosen()).toBe('')
  })

  test('of two at once only the first counts, until all are up', async () => {
    const { move, clock, push, chosen } = await startMachine()
    const then = (product: Product, closed: boolean): void => {
      move(product, closed)
      clock.advance(60)
    }
    then('cola', true)
    then('water', true)
    then('cola', false)
    then('tea', true)
    then('water', false)
    expect(chosen()).toBe('cola')
    then('tea', false)
    push('water')
    expect(chosen()).toBe('cola water')
  })

  test('two that come down between two looks have no first one', async () => {
    const { move, clock, push, chosen } = await startMachine({ edges: false })
    move('cola', true)
    move('water', true)
    clock.advance(200)
    move('cola', false)
    move('water', false)
    clock.advance(200)
    expect(chosen()).toBe('')
    push('water')
    expect(chosen()).toBe('water')
  })

  test.each([true, false])('one that is down before the machine starts was not pressed (the kernel tells of changes: %s)', async (edges) => {
    const machine = openMachine({ edges })
    machine.move('cola', true)
    await machine.start()
    machine.clock.advance(STUCK_MS + 1_000)
    expect(machine.faults).toHaveLength(1)
    machine.move('cola', false)
    machine.clock.advance(500)
    expect(machine.chosen()).toBe('')
    machine.push('cola')
    expect(machine.chosen()).toBe('cola')
  })

  test.each([true, false])('one that is stuck is named, and keeps nobody from buying the others (the kernel tells of changes: %s)', async (edges) => {
    const { move, clock, push, chosen, faults } = await startMachine({ edges })
    move('cola', true)
    clock.advance(STUCK_MS - 1_000)
    expect(faults).toEqual([])
    clock.advance(2_000)
    expect(faults).toEqual(["the button 'cola' (GPIO 5) has been down for over 30 s: free it, or look for a short"])
    push('water', 'tea')
    expect(chosen()).toBe('cola water tea')
    move('cola', false)
    clock.advance(200)
    expect(faults.slice(1)).toEqual([undefined])
    push('cola')
    expect(chosen()).toBe('cola water tea cola')
  })

  test('that nobody touches run nothing at all', async () => {
    const { clock, push, move } = await startMachine()
    push('cola')
    clock.advance(1_000)
    expect(clock.waiting()).toBe(0)
    move('tea', true)
    clock.advance(STUCK_MS + 1_000)
    expect(clock.waiting()).toBe(0)
  })

  test('one whose line is taken is named and tried again, and the others work meanwhile', async () => {
    const machine = openMachine()
    machine.board.fail(6, 'GPIO 6 is taken: free it')
    await expect(machine.start()).resolves.toBeUndefined()
    expect(machine.faults).toEqual(["the button 'water' cannot be used: GPIO 6 is taken: free it"])
    machine.push('cola', 'water')
    expect(machine.chosen()).toBe('cola')
    machine.clock.advance(RETRY_MS)
    await turn()
    expect(machine.faults).toHaveLength(1)
    machine.board.fail(6, undefined)
    machine.clock.advance(RETRY_MS)
    await turn()
    expect(machine.faults.slice(1)).toEqual([undefined])
    machine.push('water')
    expect(machine.chosen()).toBe('cola water')
  })

  test.each([true, false])('one whose line fails in use is lost, and found again (the kernel tells of changes: %s)', async (edges) => {
    const { board, push, clock, faults, chosen } = await startMachine({ edges })
    board.fail(5, 'GPIO 5 could not be read (EIO)')
    push('tea')
    expect(faults).toEqual(["the button 'cola' cannot be used: GPIO 5 could not be read (EIO)"])
    expect(chosen()).toBe('tea')
    board.fail(5, undefined)
    clock.advance(RETRY_MS)
    await turn()
    push('cola')
    expect(faults.slice(1)).toEqual([undefined])
    expect(chosen()).toBe('tea cola')
  })

  test('that are stopped hold no line, also when they were still opening them', async () => {
    const { buttons, board, clock } = await startMachine()
    const held = (): boolean[] => Object.values(BUTTONS).map(({ pin }) => board.held(pin))
    await buttons.stop()
    expect([...held(), clock.waiting()]).toEqual([false, false, false, 0])
    const started = buttons.start(() => undefined)
    await buttons.stop()
    await started
    expect([...held(), clock.waiting()]).toEqual([false, false, false, 0])
  })
})
