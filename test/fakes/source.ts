/** A keypad or a register in the hands of a test. */
import { type AmountSource, type Answer, DriverError, type Input } from '../../drivers/driver.js'

export interface FakeSource extends AmountSource {
  /** Somebody presses a key or sends a line. Nothing happens before the source was started. */
  give(input: Input): void
  /** Every answer that left, oldest first. */
  readonly answers: readonly Answer[]
  /** From now on no answer leaves, until it is plugged in again. */
  unplug(): void
  plugIn(): void
}

export function createFakeSource(onAnswer: (answer: Answer) => void = () => undefined): FakeSource {
  const answers: Answer[] = []
  let deliver: ((input: Input) => void) | undefined
  let plugged = true

  return {
    answers,
    give(input) { deliver?.(input) },
    unplug() { plugged = false },
    plugIn() { plugged = true },
    start(to) {
      deliver = to
      return Promise.resolve()
    },
    answer(answer) {
      if (!plugged) return Promise.reject(new DriverError('REGISTER_CLOSED', 'register is not connected'))
      onAnswer(answer)
      answers.push(answer)
      return Promise.resolve()
    },
    stop() {
      deliver = undefined
      return Promise.resolve()
    },
  }
}

/** The keys of an amount and OK: '2500' asks for 25.00. */
export function typeAmount(source: FakeSource, keys: string): void {
  for (const digit of keys) source.give({ type: 'digit pressed', digit })
  source.give({ type: 'enter pressed' })
}
