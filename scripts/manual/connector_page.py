"""One page per connector, made of its folder: what it can do both ways, its form, doors, limits and open questions."""

from __future__ import annotations

import re
from collections.abc import Iterator

from connectors.core import declaration, grade, registry, terms
from mappings import library
from scripts.manual import words
from scripts.manual.words import Language, Page, code, of, say, table

CATEGORIES = {
    "marketplace": ("电商平台", "Marketplace"), "mall": ("自营商城", "Own shop"), "erp": ("ERP", "ERP"),
    "wms": ("仓储与订单管理", "Warehouse and orders"), "crm": ("CRM", "CRM"), "messaging": ("消息", "Messaging"),
    "oa": ("办公", "Office"), "generic": ("通用", "Generic"),
}  # fmt: skip
ENTITIES = {
    "order": ("订单", "order"), "shipment": ("发货", "shipment"), "customer": ("客户", "customer"),
    "product": ("商品", "product"), "inventory": ("库存", "stock"), "after_sale": ("售后", "after-sale"),
    "message": ("消息", "message"), "approval": ("审批", "approval"),
}  # fmt: skip
DOORS = {"hook": ("推送", "push"), "stream": ("长连接", "long connection"), "poll": ("轮询", "poll")}
SCOPES = {
    "app": ("每个应用", "per application"), "shop": ("每家店铺", "per shop"), "ip": ("每个出口 IP", "per address"),
    "method": ("每个接口", "per call"), "receiver": ("每个接收人", "per receiver"),
}  # fmt: skip
LOST = {
    "key": ("带幂等键重发，对方会认出重复", "sent again with the same key, which the system recognises"),
    "query_first": ("先查对方有没有，没有才再发", "looked up first, sent only if it is not there"),
    "no": ("挂起，等人看过再决定", "parked for a person to decide"),
}
RECOVERY = {
    "throttled": ("等一会自动继续", "waits and goes on"), "banned": ("到期前不再调用", "no call until it is over"),
    "unavailable": ("稍后自动重试", "tried again later"), "unknown": ("先查清再决定", "found out first"),
    "not_yet": ("稍后自动重试，不算故障", "tried again later, no sign of trouble"),
    "token": ("自动换新令牌", "a new token is got"),
    "credential": ("连接暂停，等人处理", "the connection waits for a person"),
    "rejected": ("成为死信", "dead letter"), "done": ("算成功", "a success"), "misdeclared": ("挂起", "parked"),
}  # fmt: skip
BLOCK = re.compile(r"^(#{1,2}) (.+)$", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
GENERATED = ("未确认", "能做什么", "What it does")
"""Headings of READMEs whose matter is made from the declaration here."""


def blocks(readme: str) -> Iterator[tuple[str, str]]:
    """(title, text with its heading) of each part of a README, down to headings of the second level."""
    bare = FENCE.sub(lambda found: " " * len(found[0]), readme)
    marks = list(BLOCK.finditer(bare))
    ends = [one.start() for one in marks[1:]] + [len(readme)]
    for one, end in zip(marks, ends, strict=True):
        yield one[2].strip(), readme[one.start() : end].strip().removesuffix("---").strip()


def speaks(title: str, text: str) -> set[Language]:
    """The languages a part is written in: by its title where that has words of one only, else by its letters."""
    chinese, latin = len(words.CJK.findall(text)), len(re.findall(r"[A-Za-z]{3,}", text))
    if words.CJK.search(title) and re.search(r"[A-Za-z]{4,} ", title + " ") and chinese and latin * 2 > chinese:
        return {"zh", "en"}
    return {"zh"} if chinese * 2 > latin else {"en"}


def told(readme: str, language: Language) -> str:
    """What a README says in one language, its headings one level down; what is generated here is left out."""
    kept = []
    for title, text in blocks(readme):
        if language not in speaks(title, text) or title.startswith(GENERATED):
            continue
        inner = re.split(r"(?m)^(?=### )", text)
        text = "".join(part for part in inner if not part.startswith(tuple(f"### {word}" for word in GENERATED)))
        head, _, rest = text.partition("\n")
        top = head.startswith("# ") or title in ("中文", "English")
        kept.append(rest.strip() if top else text.replace("\n#### ", "\n##### ").replace("\n### ", "\n### "))
    joined = "\n\n".join(one for one in kept if one)
    return joined if "\n## " in f"\n{joined}" else re.sub(r"(?m)^### ", "## ", joined)


def made(connector: str, language: Language) -> Page:
    """The page of one connector."""
    spec, folder = registry.get(connector), registry.folder(connector)
    source = f"connectors/{connector}/README.md"
    readme = folder.joinpath("README.md").read_text(encoding="utf-8")
    heading = say(language, "怎样连接", "How to connect it")
    return Page(
        f"connectors/{connector}.md",
        words.page(
            f"# {of(language, spec.label)}",
            _who(spec, language),
            f"## {say(language, '能做什么', 'What it can do')}",
            _comes(spec, language),
            _goes(spec, language),
            f"## {heading}",
            _fields(spec, language),
            told(readme, language),
            f"## {say(language, '事件入口', 'Event doors')}",
            _doors(spec, language),
            f"## {say(language, '调用限制', 'Limits')}",
            _limits(spec, language),
            f"## {say(language, '常见错误与处理', 'Errors and what follows')}",
            _errors(spec, language),
            f"## {say(language, '字段映射', 'Mappings')}",
            _mappings(connector, language),
            _open(spec, language),
        ),
        source,
    )


def _who(spec: declaration.Declaration, language: Language) -> str:
    level = grade.judged(spec, registry.folder(spec.id)).level.name.lower()
    kind = say(language, *CATEGORIES[spec.category])
    words_of = say(
        language,
        f"标识 `{spec.id}` · 声明版本 {spec.version} · 等级 **{level}** · [对方文档]({spec.docs_url})",
        f"id `{spec.id}` · declaration {spec.version} · grade **{level}** · [its own documents]({spec.docs_url})",
    )
    return f"{kind} · {words_of}"


def entity(name: str | None, language: Language) -> str:
    """What a kind of record is called."""
    if name is not None and "${" in name:
        return say(language, "由连接决定", "as the connection says")
    return say(language, *ENTITIES[name]) if name in ENTITIES else (name or "–")


def _comes(spec: declaration.Declaration, language: Language) -> str:
    rows: dict[tuple[str, str], list[str]] = {}
    for source in spec.events.values():
        door = say(language, *DOORS[source.door])
        names = source.messages or (list(spec.messages) if source.door != "poll" else [])
        for one in [spec.messages[name] for name in names if name in spec.messages]:
            rows.setdefault((of(language, one.label), entity(one.entity, language)), []).append(door)
        if source.door == "poll" and not source.messages and source.operation in spec.operations:
            read = spec.operations[source.operation]
            rows.setdefault((of(language, read.label), entity(read.entity, language)), []).append(door)
    heads = [
        say(language, "进来的消息", "What comes in"),
        say(language, "对象", "Record"),
        say(language, "入口", "Door"),
    ]
    made = table(heads, [(*key, say(language, "、", ", ").join(dict.fromkeys(doors))) for key, doors in rows.items()])
    return made or say(language, "不接收事件，只写入。", "Takes nothing in; it is written to only.")


def _goes(spec: declaration.Declaration, language: Language) -> str:
    heads = [
        say(language, "写出去的操作", "What can be written"), say(language, "名称", "Name"),
        say(language, "对象", "Record"), say(language, "答复丢失时", "When the answer is lost"),
    ]  # fmt: skip
    rows = [
        (of(language, one.label), code(name), entity(one.entity, language), say(language, *LOST[one.idempotent.value]))
        for name, one in spec.operations.items()
        if one.kind in ("write", "act")
    ]
    read = [
        f"{of(language, one.label)}（{code(name)}）"
        for name, one in spec.operations.items()
        if one.kind in ("list", "get")
    ]
    if language == "en":
        read = [one.replace("（", " (").replace("）", ")") for one in read]
    also = say(language, "另外能读取：", "It also reads: ") + say(language, "、", ", ").join(read) if read else ""
    return words.page(table(heads, rows) or say(language, "没有写入操作。", "Nothing can be written."), also)


def _fields(spec: declaration.Declaration, language: Language) -> str:
    heads = [
        say(language, *pair)
        for pair in (("字段", "Field"), ("名称", "Key"), ("要填吗", "Needed"), ("说明", "Where it comes from"))
    ]
    rows = []
    for one in spec.fields:
        need = say(language, "必填", "required") if one.required else say(language, "选填", "optional")
        if one.secret:
            need += say(language, "，保密", ", secret")
        notes = [of(language, one.help)]
        if one.choices:
            notes.append(" / ".join(of(language, choice.label) for choice in one.choices))
        if one.default not in (None, ""):
            notes.append(say(language, "默认 ", "default ") + code(one.default))
        if one.when:
            only = "、".join(
                f"{key} = {value if isinstance(value, str) else ' / '.join(value)}" for key, value in one.when.items()
            )
            notes.append(say(language, "仅当 ", "only if ") + code(only))
        rows.append(
            (
                of(language, one.label),
                code(one.key),
                need,
                say(language, "；", "; ").join(note for note in notes if note),
            )
        )
    return table(heads, rows) or say(language, "没有要填的字段。", "There is nothing to fill in.")


def _doors(spec: declaration.Declaration, language: Language) -> str:
    heads = [
        say(language, *pair)
        for pair in (
            ("入口", "Door"),
            ("方式", "Kind"),
            ("怎样证明是真的", "Proof"),
            ("多久", "How often"),
            ("何时打开", "Open when"),
        )
    ]
    rows = []
    for one in spec.events.values():
        often = (
            say(language, f"每 {one.every:g} 秒", f"every {one.every:g} s")
            if one.door == "poll"
            else say(language, "随到随收", "as it comes")
        )
        proof = (
            code(one.verify.scheme)
            if one.verify is not None
            else say(language, "用连接的凭证读取", "read with the connection's credentials")
        )
        when = "、".join(
            f"{key} = {value if isinstance(value, str) else ' / '.join(value)}" for key, value in one.when.items()
        )
        rows.append(
            (
                of(language, one.label),
                say(language, *DOORS[one.door]),
                proof,
                often,
                code(when) if when else say(language, "总是", "always"),
            )
        )
    return table(heads, rows) or say(language, "没有事件入口。", "There is none.")


def _limits(spec: declaration.Declaration, language: Language) -> str:
    first = say(
        language,
        f"同时最多 {spec.pacing.concurrency} 个调用（每个进程）。",
        f"At most {spec.pacing.concurrency} calls at once, per process.",
    )
    heads = [
        say(language, *pair)
        for pair in (("范围", "Scope"), ("次数", "Calls"), ("每几秒", "Per seconds"), ("接口", "Operations"))
    ]
    rows = [
        (
            say(language, *SCOPES[one.scope]),
            one.limit,
            f"{one.per:g}",
            ", ".join(code(name) for name in one.operations) or say(language, "全部", "all"),
        )
        for one in spec.pacing.scopes
    ]
    return words.page(first, table(heads, rows))


def _errors(spec: declaration.Declaration, language: Language) -> str:
    heads = [
        say(language, *pair)
        for pair in (("对方的代码", "Their code"), ("枢纽怎么做", "What the hub does"), ("提示", "Hint"))
    ]
    rows = [(_matched(one), say(language, *RECOVERY[one.becomes.value]), of(language, one.hint)) for one in spec.errors]
    return table(heads, rows) or say(language, "只看 HTTP 状态。", "By HTTP status only.")


def _matched(rule: terms.ErrorRule) -> str:
    said = [*(code(one) for one in rule.match), *(f"HTTP {one}" for one in rule.status)]
    return ", ".join([*said, *([f"“{rule.text}”"] if rule.text else [])]) or "–"


def _mappings(connector: str, language: Language) -> str:
    heads = [say(language, *pair) for pair in (("映射", "Mapping"), ("对象", "Record"), ("规则数", "Rules"))]
    rows = []
    for owner, name in library.names():
        if owner == connector:
            spec = library.shipped(owner, name).spec
            rows.append((code(name), entity(spec.entity, language), len(spec.rules)))
    return table(heads, rows) or say(language, "没有自带映射。", "None is shipped.")


def _open(spec: declaration.Declaration, language: Language) -> str:
    if not spec.unconfirmed:
        return ""
    title = say(language, "未确认的事实", "Unconfirmed facts")
    lead = say(
        language,
        "下面这些公开文档证实不了，接真实账号时请先核对：",
        "Public documents do not settle these; check them first with a real account:",
    )
    return words.page(f"## {title}", lead, "\n".join(f"- {one}" for one in spec.unconfirmed))


def listed(language: Language) -> Page:
    """The overview: all connectors by category, with what goes in and out."""
    parts = [f"# {say(language, '连接器', 'Connectors')}", say(
        language,
        "每个连接器一页，由它自己的文件夹生成。等级是算出来的：bronze 能连上，silver 每个操作都对着模拟器演练过，"
        "gold 没有猜测、也没有要人来决定的丢失答复。**没有一个在真实厂商环境里验证过**，未确认的事实列在每页末尾。",
        "One page per connector, made of its own folder. Grades are computed: bronze can be connected, silver has each "
        "operation rehearsed against its simulator, gold guesses nothing and leaves no lost answer to a person. "
        "**None was verified against the live vendor**; what is unconfirmed stands at the end of each page.",
    )]  # fmt: skip
    specs = [registry.get(one) for one in registry.all_ids()]
    heads = [say(language, *pair) for pair in (("连接器", "Connector"), ("读", "In"), ("写", "Out"), ("等级", "Grade"))]
    for category, names in CATEGORIES.items():
        rows = []
        for spec in (one for one in specs if one.category == category):
            level = grade.judged(spec, registry.folder(spec.id)).level.name.lower()
            link = f"[{of(language, spec.label)}](../connectors/{spec.id}/README.md)"
            rows.append((link, _kinds(_emitted(spec), language), _kinds(_taken(spec), language), level))
        if rows:
            parts += [f"## {say(language, *names)}", table(heads, rows)]
    return Page("connectors/index.md", words.page(*parts), "docs/connectors.md")


def _emitted(spec: declaration.Declaration) -> set[str]:
    polls = {spec.operations[one.operation].entity for one in spec.events.values() if one.operation in spec.operations}
    return {one for one in {*polls, *(each.entity for each in spec.messages.values())} if one}


def _taken(spec: declaration.Declaration) -> set[str]:
    return {one.entity for one in spec.operations.values() if one.kind in ("write", "act") and one.entity}


def _kinds(names: set[str], language: Language) -> str:
    ordered = [one for one in ENTITIES if one in names] + sorted(names - ENTITIES.keys())
    return say(language, "、", ", ").join(entity(one, language) for one in ordered) or "–"


def pages(language: Language) -> Iterator[Page]:
    """The overview and every connector that is there."""
    yield listed(language)
    for one in registry.all_ids():
        yield made(one, language)
