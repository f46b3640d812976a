/**
 * In a simulated world nobody may look at a real clock or roll real dice: it would be another world the next time. Call it
 * once, in a process that does nothing else; what the engine itself needs it took before.
 */
export function forbidRealTime(): void {
  const trap = (what: string) => (): never => {
    throw new Error(`the simulated world used ${what}: it would be another one the next time`)
  }
  const RealDate = Date
  /** Moments that are given are as always; only 'now' is forbidden. */
  class TrappedDate extends RealDate {
    constructor(...told: [] | [number | string]) {
      if (told.length === 0) trap('new Date()')()
      super(...(told as [number | string]))
    }

    static override now(): never {
      return trap('Date.now')()
    }
  }
  globalThis.Date = TrappedDate as unknown as DateConstructor
  Math.random = trap('Math.random')
  performance.now = trap('performance.now')
  Object.assign(globalThis, {
    setTimeout: trap('setTimeout'), setInterval: trap('setInterval'), setImmediate: trap('setImmediate'), fetch: trap('fetch'),
  })
  crypto.randomUUID = trap('crypto.randomUUID')
  crypto.getRandomValues = trap('crypto.getRandomValues')
}
