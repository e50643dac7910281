//! Walks a syntax tree once, with its scopes, into a [`Sketch`].

use full_moon::ast;
use full_moon::ast::Expression;
use full_moon::ast::FunctionArgs;
use full_moon::ast::Index;
use full_moon::ast::Prefix;
use full_moon::ast::Stmt;
use full_moon::ast::Suffix;
use full_moon::ast::Var;
use full_moon::node::Node;
use full_moon::tokenizer::TokenReference;

use super::sketch::Call;
use super::sketch::Function;
use super::sketch::Sketch;
use tokens::Above;
use tokens::Arguments;
use tokens::name;

use crate::script::words;

mod fields;
mod tables;
mod tokens;

/// Words for the top level, which no request can call.
const DECLARING: &[&str] = &[
    "route", "group", "gateway", "upstream", "policy", "include", "openapi", "schema", "require", "secret", "file",
    "every", "on", "steps",
];

/// The state of a walk.
#[derive(Default)]
pub(super) struct Walker {
    sketch: Sketch,
    above: Above,
    /// Declared locals with the function depth they belong to.
    locals: Vec<(String, usize)>,
    /// Indices into `sketch.functions` of the functions around.
    functions: Vec<usize>,
    /// How many functions around are called for requests: entries of a list, `on_…`, `when`.
    requests: usize,
    /// Local functions by name.
    named: Vec<(String, usize)>,
}

impl Walker {
    /// Walks a file, or the next piece of one, which begins below `lines`: locals of the top level stay in scope.
    pub(super) fn add(&mut self, tree: &ast::Ast, lines: usize) {
        self.above = Above(lines);
        self.open_block(tree.nodes());
    }

    /// What was seen.
    pub(super) fn finish(self) -> Sketch {
        self.sketch
    }

    fn block(&mut self, block: &ast::Block) {
        let mark = self.locals.len();
        self.open_block(block);
        self.locals.truncate(mark);
    }

    /// Leaves its locals in scope (for `repeat … until`).
    fn open_block(&mut self, block: &ast::Block) {
        for statement in block.stmts() {
            self.statement(statement);
        }
        if let Some(ast::LastStmt::Return(last)) = block.last_stmt() {
            last.returns().iter().for_each(|expression| self.expression(expression));
        }
    }

    fn statement(&mut self, statement: &Stmt) {
        match statement {
            Stmt::Assignment(assignment) => {
                assignment.expressions().iter().for_each(|expression| self.expression(expression));
                assignment.variables().iter().for_each(|variable| self.assign(variable));
            }
            Stmt::CompoundAssignment(assignment) => {
                self.expression(assignment.rhs());
                self.assign(assignment.lhs());
            }
            Stmt::Do(inner) => self.block(inner.block()),
            Stmt::FunctionCall(call) => {
                self.call(call);
            }
            Stmt::FunctionDeclaration(declaration) => self.declaration(declaration),
            Stmt::GenericFor(each) => {
                each.expressions().iter().for_each(|expression| self.expression(expression));
                let names: Vec<&TokenReference> = each.names().iter().collect();
                self.scoped(&names, each.block());
            }
            Stmt::NumericFor(each) => {
                self.expression(each.start());
                self.expression(each.end());
                each.step().into_iter().for_each(|step| self.expression(step));
                self.scoped(&[each.index_variable()], each.block());
            }
            Stmt::If(branch) => self.branch(branch),
            Stmt::LocalAssignment(local) => {
                let values: Vec<&Expression> = local.expressions().iter().collect();
                self.local(&local.names().iter().collect::<Vec<_>>(), &values);
            }
            Stmt::ConstAssignment(local) => {
                let values: Vec<&Expression> = local.expressions().iter().collect();
                self.local(&local.names().iter().collect::<Vec<_>>(), &values);
            }
            Stmt::LocalFunction(function) => {
                self.declare(function.name());
                let index = self.function(self.above.begins(function.function_token()), None, function.body());
                self.named.push((name(function.name()), index));
            }
            Stmt::ConstFunction(function) => {
                self.declare(function.name());
                self.function(self.above.begins(function.function_token()), None, function.body());
            }
            Stmt::Repeat(repeat) => {
                let mark = self.locals.len();
                self.open_block(repeat.block());
                self.expression(repeat.until());
                self.locals.truncate(mark);
            }
            Stmt::While(each) => {
                self.expression(each.condition());
                self.block(each.block());
            }
            // Types have no names of ours.
            _ => {}
        }
    }

    fn local(&mut self, names: &[&TokenReference], values: &[&Expression]) {
        let first = self.sketch.functions.len();
        values.iter().for_each(|expression| self.expression(expression));
        if let ([one], [Expression::Function(_)]) = (names, values) {
            self.named.push((name(one), first));
        }
        names.iter().for_each(|token| self.declare(token));
    }

    fn scoped(&mut self, names: &[&TokenReference], block: &ast::Block) {
        let mark = self.locals.len();
        names.iter().for_each(|token| self.declare(token));
        self.block(block);
        self.locals.truncate(mark);
    }

    fn branch(&mut self, branch: &ast::If) {
        self.expression(branch.condition());
        self.block(branch.block());
        for other in branch.else_if().into_iter().flatten() {
            self.expression(other.condition());
            self.block(other.block());
        }
        branch.else_block().into_iter().for_each(|block| self.block(block));
    }

    fn declaration(&mut self, declaration: &ast::FunctionDeclaration) {
        let owner = declaration.name();
        let mut names = owner.names().iter();
        let first = names.next();
        if let Some(first) = first {
            let plain = names.next().is_none() && owner.method_name().is_none();
            if plain { self.write(first, true) } else { self.read(first, false) }
        }
        let own = owner.method_name().map(|_| "self");
        self.function(self.above.begins(declaration.function_token()), own, declaration.body());
    }

    /// Returns its index in the sketch.
    fn function(&mut self, line: u32, own: Option<&str>, body: &ast::FunctionBody) -> usize {
        let index = self.sketch.functions.len();
        let nested = !self.functions.is_empty();
        self.sketch.functions.push(Function { line, called: false, writes: Vec::new(), nested });
        self.functions.push(index);
        let mark = self.locals.len();
        own.into_iter().for_each(|own| self.locals.push((own.to_owned(), self.functions.len())));
        for parameter in body.parameters() {
            if let ast::Parameter::Name(token) = parameter {
                self.declare(token);
            }
        }
        self.open_block(body.block());
        self.locals.truncate(mark);
        self.functions.pop();
        index
    }

    fn declare(&mut self, token: &TokenReference) {
        self.locals.push((name(token), self.functions.len()));
    }

    fn depth_of(&self, name: &str) -> Option<usize> {
        self.locals.iter().rev().find(|(local, _)| local == name).map(|(_, depth)| *depth)
    }

    fn read(&mut self, token: &TokenReference, backtick: bool) {
        let name = name(token);
        match self.depth_of(&name) {
            None => self.sketch.reads.push((name, self.above.span(token), backtick)),
            Some(_) if backtick => self.sketch.backticks.push((name, self.above.span(token))),
            Some(_) => {}
        }
    }

    fn write(&mut self, token: &TokenReference, function: bool) {
        let name = name(token);
        match self.depth_of(&name) {
            None => self.sketch.writes.push((name, self.above.span(token), function)),
            Some(home) => {
                // Every function between the local's home and here writes what is not its own.
                for &index in self.functions.iter().skip(home) {
                    self.sketch.functions[index].writes.push((name.clone(), self.above.span(token)));
                }
            }
        }
    }

    fn assign(&mut self, variable: &Var) {
        match variable {
            Var::Name(token) => self.write(token, false),
            Var::Expression(expression) => {
                self.prefix(expression.prefix());
                self.member(expression.prefix(), expression.suffixes().next());
                self.suffixes(expression.suffixes());
            }
            _ => {}
        }
    }

    fn prefix(&mut self, prefix: &Prefix) {
        match prefix {
            Prefix::Name(token) => self.read(token, false),
            Prefix::Expression(expression) => self.expression(expression),
            _ => {}
        }
    }

    fn suffixes<'a>(&mut self, suffixes: impl Iterator<Item = &'a Suffix>) {
        for suffix in suffixes {
            match suffix {
                Suffix::Call(ast::Call::AnonymousCall(arguments)) => drop(self.arguments(arguments)),
                Suffix::Call(ast::Call::MethodCall(call)) => drop(self.arguments(call.args())),
                Suffix::Index(Index::Brackets { expression, .. }) => self.expression(expression),
                _ => {}
            }
        }
    }

    fn member<'a>(&mut self, prefix: &Prefix, first: Option<&'a Suffix>) -> Option<&'a TokenReference> {
        let Prefix::Name(owner) = prefix else { return None };
        let Some(Suffix::Index(Index::Dot { name: member, .. })) = first else { return None };
        match self.depth_of(&name(owner)) {
            None => self.sketch.members.push((name(owner), name(member), self.above.span(member))),
            // A parameter, not a local of the file's own.
            Some(depth) if depth > 0 && matches!(name(owner).as_str(), "req" | "res") => {
                self.sketch.handles.push((name(owner), name(member), self.above.span(member)));
            }
            Some(_) => {}
        }
        Some(member)
    }

    /// Arguments of one call: what matters of them for a [`Call`].
    fn arguments(&mut self, arguments: &FunctionArgs) -> Arguments {
        let mut found = Arguments::default();
        match arguments {
            FunctionArgs::String(token) => found.text(token, self.above.span(token)),
            FunctionArgs::TableConstructor(table) => {
                found.spans.push(self.above.range(table));
                found.table = Some(self.table(table));
            }
            FunctionArgs::Parentheses { arguments, .. } => {
                for argument in arguments {
                    match argument {
                        Expression::String(token) if found.subject.is_none() => {
                            found.text(token, self.above.span(token))
                        }
                        Expression::TableConstructor(table) if found.table.is_none() => {
                            found.spans.push(self.above.range(table));
                            found.table = Some(self.table(table));
                        }
                        _ => {
                            found.spans.push(self.above.range(argument));
                            self.expression(argument);
                        }
                    }
                }
            }
            _ => {}
        }
        found
    }

    fn call(&mut self, call: &ast::FunctionCall) {
        self.prefix(call.prefix());
        self.field(call.prefix(), call.suffixes());
        let mut suffixes = call.suffixes().peekable();
        let mut word = match call.prefix() {
            Prefix::Name(token) => Some(token),
            _ => None,
        };
        if let Some(member) = self.member(call.prefix(), suffixes.peek().copied()) {
            word = Some(member);
            suffixes.next();
        }
        let (at, steps) = (self.sketch.calls.len(), self.sketch.responses.len());
        let mut all: Option<Arguments> = None;
        while let Some(Suffix::Call(ast::Call::AnonymousCall(arguments))) = suffixes.peek() {
            let next = self.arguments(arguments);
            match &mut all {
                None => all = Some(next),
                Some(all) => all.join(next),
            }
            suffixes.next();
        }
        if let (Some(word), Some(all)) = (word, all) {
            // Functions in a policy's table are its options, not steps.
            if words::STDLIB.contains(&name(word).as_str()) {
                self.sketch.responses.truncate(steps);
            }
            self.note(at, word, all, call);
        }
        self.suffixes(suffixes);
    }

    fn note(&mut self, at: usize, word: &TokenReference, all: Arguments, call: &ast::FunctionCall) {
        let called = name(word);
        if self.functions.is_empty()
            && let Some((_, index)) = self.named.iter().rev().find(|(known, _)| *known == called)
        {
            self.sketch.functions[*index].called = true;
        }
        if self.requests > 0 && DECLARING.contains(&called.as_str()) && self.depth_of(&called).is_none() {
            self.sketch.late.push((called.clone(), self.above.span(word)));
        }
        let end = call.end_position().map_or(0, |position| self.above.line(position));
        let (subject, table, arguments) = (all.subject, all.table, all.spans);
        self.sketch
            .calls
            .insert(at, Call { word: called, span: self.above.span(word), end, subject, table, arguments });
    }

    fn expression(&mut self, expression: &Expression) {
        match expression {
            Expression::BinaryOperator { lhs, rhs, .. } => {
                self.expression(lhs);
                self.expression(rhs);
            }
            Expression::Parentheses { expression, .. }
            | Expression::UnaryOperator { expression, .. }
            | Expression::TypeAssertion { expression, .. } => self.expression(expression),
            Expression::Function(function) => {
                self.function(self.above.begins(function.function_token()), None, function.body());
            }
            Expression::FunctionCall(call) => self.call(call),
            Expression::IfExpression(branch) => {
                self.expression(branch.condition());
                self.expression(branch.if_expression());
                for other in branch.else_if_expressions().into_iter().flatten() {
                    self.expression(other.condition());
                    self.expression(other.expression());
                }
                self.expression(branch.else_expression());
            }
            Expression::InterpolatedString(text) => {
                for inner in text.expressions() {
                    match inner {
                        Expression::Var(Var::Name(token)) => self.read(token, true),
                        other => self.expression(other),
                    }
                }
            }
            Expression::TableConstructor(table) => drop(self.table(table)),
            Expression::Var(Var::Name(token)) => self.read(token, false),
            Expression::Var(Var::Expression(expression)) => {
                self.prefix(expression.prefix());
                self.field(expression.prefix(), expression.suffixes());
                let mut suffixes = expression.suffixes().peekable();
                self.member(expression.prefix(), suffixes.peek().copied());
                self.suffixes(suffixes);
            }
            _ => {}
        }
    }
}
